"""A person by rule: an operator of a real broker without any server, who answers every question the same way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connvault_jupyter._version import __version__
from connvault_jupyter.broker.broker_process import BrokerProcess
from connvault_jupyter.contracts.events import Event
from connvault_jupyter.contracts.supervision import BrokerSettings, ConsentSettings

from ..browser.rest import PASSPHRASE
from .in_clear import PROVIDERS

Rule = Callable[[dict[str, Any]], str]
"""A question (as `contracts.access.Question` in JSON) -> a decision."""

CALL_DEADLINE_S = 30.0


def allow_session(question: dict[str, Any]) -> str:
    """Yes until the asker stops; plain text is never given."""
    return "deny" if question["mode"] == "reveal" else "session"


class Operator:
    """Holds the operator channel of one broker. `rule` answers; `None` leaves the questions open."""

    def __init__(self, *, rule: Rule | None) -> None:
        self._broker = BrokerProcess(on_event=self._on_event, log=logging.getLogger("connvault.operator"))
        self._rule = rule
        self.asked: list[dict[str, Any]] = []
        self.heard: list[str] = []
        """The names of the events so far."""

    def call(self, operation: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer. Raises the typed error that the broker sends."""
        return self._broker.call(operation, body or {}, actor="a rule").result(CALL_DEADLINE_S)

    @property
    def broker(self) -> BrokerProcess:
        return self._broker

    def _on_event(self, event: Event) -> None:
        """Runs on the channel's reading thread, so it must not wait for an answer there."""
        self.heard.append(event.event)
        if event.event == "access_request:asked" and self._rule is not None:
            self._broker.call("access_requests.list", {}, actor="a rule").add_done_callback(
                lambda answer: self._answer(answer.result())
            )

    def _answer(self, pending: dict[str, Any]) -> None:
        assert self._rule is not None
        for question in pending["access_requests"]:
            self.asked.append(question)
            decision = {"id": question["id"], "decision": self._rule(question), "digest": question["digest"]}
            self._broker.call("access_requests.decide", decision, actor="a rule")

    def set_up(self) -> None:
        """Protects the vault with `PASSPHRASE`, or unlocks it if it is there already."""
        if self.call("vault.state")["state"] == "absent":
            self.call("vault.setup", {"custodian": "passphrase", "passphrase": PASSPHRASE})
        else:
            self.call("vault.unlock", {"passphrase": PASSPHRASE})

    def revoke_all(self, connection: str = "") -> None:
        """Every permission; of this connection alone, if its name is given."""
        for view in self.call("grants.list")["grants"]:
            if connection in ("", view["connection"]):
                self.call("grants.revoke", {"id": view["grant"]["id"]})

    def create(
        self,
        name: str,
        provider_id: str,
        fields: dict[str, Any],
        secrets: dict[str, str],
        *,
        reveal_allowed: bool | None = None,
    ) -> Any:
        body = {
            "provider_id": provider_id,
            "name": name,
            "fields": fields,
            "reveal_allowed": reveal_allowed,
            "secrets": {field: {"value": value} for field, value in secrets.items()},
        }
        return self.call("connections.create", body)


@contextmanager
def operated_broker(
    home: Path,
    *,
    rule: Rule | None = allow_session,
    consent: ConsentSettings | None = None,
    approvers: int = 1,
    data_dir: Path | None = None,
    **settings: Any,
) -> Iterator[tuple[Operator, str]]:
    """A real broker with its data below `home`, set up with a passphrase; its operator and its socket's path.

    `data_dir`: a vault that it shares with others. It knows the kind of connection `in_clear.IN_CLEAR` too, unless
    `provider_dirs` are given.
    """
    settings.setdefault("provider_dirs", [str(PROVIDERS)])
    folder = home / "s"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    socket_path = str(folder / "b")
    operator = Operator(rule=rule)
    operator.broker.start(
        BrokerSettings(
            data_dir=str(data_dir or home / "vault"),
            socket_path=socket_path,
            server_root=str(home),
            consent=consent or ConsentSettings(),
            custodian="passphrase",
            version=__version__,
            **settings,
        )
    )
    try:
        operator.set_up()
        operator.call("supervision.approvers", {"count": approvers})
        yield operator, socket_path
    finally:
        operator.broker.stop()
