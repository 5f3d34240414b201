"""The operator's REST door for tests: what a browser tab would send, without the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import requests

from setup_hooks.postgresql import Login

from ..broker.processes import wait_until
from .jupyter_server import JupyterServer

PREFIX = "connvault/api/v1"
PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Rest:
    """Calls the server's own API; everything but a success is an assertion error, unless `send` is used."""

    server: JupyterServer

    def send(
        self, method: str, path: str, body: Any = None, *, revision: int | None = None
    ) -> requests.Response:
        headers = {} if revision is None else {"If-Match": f'"{revision}"'}
        return self.server.request(method, f"{PREFIX}/{path}", json=body, headers=headers)

    def call(self, method: str, path: str, body: Any = None, *, revision: int | None = None) -> Any:
        answer = self.send(method, path, body, revision=revision)
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def set_up(self) -> None:
        """Protects the vault with `PASSPHRASE`, or unlocks it if it is there already. Waits for the broker."""
        state = wait_until(self._vault, deadline_s=20, what="the broker")
        if state["state"] == "absent":
            self.call("POST", "vault/setup", {"custodian": "passphrase", "passphrase": PASSPHRASE})
        elif state["state"] == "locked":
            self.unlock()

    def unlock(self) -> None:
        self.call("POST", "vault/unlock", {"passphrase": PASSPHRASE})

    def create(
        self,
        name: str,
        provider_id: str,
        fields: dict[str, Any],
        secrets: dict[str, str],
        *,
        reveal_allowed: bool | None = None,
    ) -> Any:
        return self.call(
            "POST",
            "connections",
            {
                "provider_id": provider_id,
                "name": name,
                "fields": fields,
                "reveal_allowed": reveal_allowed,
                "secrets": {field: {"value": value} for field, value in secrets.items()},
            },
        )

    def create_postgresql(self, name: str, login: Login, *, reveal_allowed: bool | None = None) -> Any:
        """A ready connection to the test's own PostgreSQL login."""
        password = {"password": login.password}
        return self.create(
            name, "postgresql", postgresql_fields(login), password, reveal_allowed=reveal_allowed
        )

    def named(self, name: str) -> Any:
        """The view of the connection with this name, or `None`."""
        found = [v for v in self.call("GET", "connections")["connections"] if v["connection"]["name"] == name]
        return found[0] if found else None

    def delete_all(self) -> None:
        """No connection, grant or question is left; the vault stays as it is."""
        for view in self.call("GET", "connections")["connections"]:
            connection = view["connection"]
            self.call("DELETE", f"connections/{connection['id']}", revision=connection["revision"])

    def questions(self) -> list[Any]:
        found: list[Any] = self.call("GET", "access-requests")["access_requests"]
        return found

    def decide(self, question: Any, decision: str, **more: Any) -> requests.Response:
        body = {"decision": decision, "digest": question["digest"], **more}
        return self.send("POST", f"access-requests/{question['id']}/decision", body)

    def grants(self, connection_id: str | None = None) -> list[Any]:
        query = f"?connection_id={connection_id}" if connection_id else ""
        found: list[Any] = self.call("GET", f"grants{query}")["grants"]
        return found

    def audit(self, **filters: Any) -> list[Any]:
        query = "&".join(f"{name}={value}" for name, value in {"limit": 200, **filters}.items())
        found: list[Any] = self.call("GET", f"audit?{query}")["events"]
        return found

    def _vault(self) -> Any:
        answer = self.send("GET", "vault")
        return answer.json() if answer.ok else None


def postgresql_fields(login: Login) -> dict[str, Any]:
    return {
        "host": login.host,
        "port": login.port,
        "database": login.database,
        "user": login.user,
        "sslmode": "disable",
    }
