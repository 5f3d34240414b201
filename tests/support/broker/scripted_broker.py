"""A broker that says what a test tells it to, over a real Unix socket: for the kernel side, without consent or storage.

Answers are checked against the contracts, so that a script can't drift away from the wire format. It identifies no
one and keeps nothing: it proves how a requester behaves, never that a secret is safe.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames
from connvault_jupyter.contracts.operations import BY_DOOR
from connvault_jupyter.contracts.problem import problem_of
from connvault_jupyter.errors import ConnectionNotFound, ConnvaultError, HandleInvalid
from connvault_jupyter.kernel import api

Answer = Callable[[dict[str, Any]], dict[str, Any]]

POSTGRESQL = {
    "id": "postgresql",
    "name": "PostgreSQL",
    "description": "A database",
    "fields": ["host", "port", "database", "user", "sslmode"],
    "secret_fields": ["password"],
}


def new_ref() -> str:
    """A handle ref of the right form: 256 random bits."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


class ScriptedBroker:
    """Listens on `path`. `answers` maps an operation to a function of the body, which may raise a `ConnvaultError`.

    `asked` lists what was asked, `hellos` counts connections; `withdrawn` is set when a client goes away while a
    question of its own waits (see `waiting`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.hellos = 0
        self.hello: dict[str, Any] = {"ok": True, "protocol": frames.PROTOCOL, "version": __version__}
        self.waiting = threading.Event()
        self.withdrawn = threading.Event()
        self._streams: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.path.unlink(missing_ok=True)
        self._listener.bind(str(self.path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def die(self) -> None:
        """What a killed broker looks like: all sockets end at once, the path stays."""
        listener, self._listener = self._listener, None
        if listener is not None:
            _end(listener)
        with self._lock:
            streams = list(self._streams)
        for stream in streams:
            _end(stream)

    def wait_for_client_to_leave(self, body: dict[str, Any]) -> dict[str, Any]:
        """As an answer: a question that nobody answers. Set for an operation, it ends when the client goes away."""
        raise _NoAnswer

    def last(self, operation: str) -> dict[str, Any]:
        """What was asked by the last one of this operation. Dropped handles are released in between, at any time."""
        return next(body for name, body in reversed(self.asked) if name == operation)

    def count(self, operation: str) -> int:
        return sum(1 for name, _ in self.asked if name == operation)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                stream, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._streams.add(stream)
            threading.Thread(target=self._serve, args=(stream,), daemon=True).start()

    def _serve(self, stream: socket.socket) -> None:
        with contextlib.suppress(OSError, ConnvaultError), stream:
            hello = frames.receive(stream)
            assert hello is not None
            assert set(hello) == {"protocol", "version"}
            self.hellos += 1
            frames.send(stream, self.hello)
            while (request := frames.receive(stream)) is not None:
                try:
                    answer = self._answer(request)
                except _NoAnswer:
                    self.waiting.set()
                    if frames.receive(stream) is None:
                        self.withdrawn.set()
                    return
                frames.send(stream, answer)
        with self._lock:
            self._streams.discard(stream)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        operation = BY_DOOR["requester"][request["op"]]
        operation.request.model_validate(request["body"])
        self.asked.append((operation.name, request["body"]))
        try:
            body = self.answers[operation.name](request["body"])
        except ConnvaultError as exc:
            return {"ok": False, "problem": problem_of(exc).model_dump(mode="json")}
        operation.response.model_validate_json(_json(body))
        return {"ok": True, "body": body}


class _NoAnswer(Exception):
    pass


class Handles:
    """A script for the access operations: every request is granted, until it is revoked."""

    def __init__(
        self,
        *,
        fields: Mapping[str, Any],
        secrets: Mapping[str, str],
        provider_id: str = "postgresql",
        provider_name: str = "PostgreSQL",
        destination: str = "app@db.internal:5432/sales",
        mode: str = "in_clear",
        decision: str | None = "once",
        client: str = "postgresql",
        openers: tuple[str, ...] = ("engine", "connect"),
        expires_at: datetime | None = None,
        reveal_allowed: bool = True,
        delivery: str | None = None,
        protocol: str = "postgresql",
        variables: Mapping[str, str] | None = None,
        tcp_variables: Mapping[str, str] | None = None,
    ) -> None:
        self.fields = dict(fields)
        self.secrets = dict(secrets)
        self.revision = 1
        self.rotation = "r1"
        self.refusal: ConnvaultError | None = None
        self.name = "warehouse"
        self.refs: set[str] = set()
        self.token = new_ref()
        self.proposal = f"proposal-{new_ref()}"
        self.port = 50_123
        self._protocol = protocol
        self._variables, self._tcp_variables = dict(variables or {}), dict(tcp_variables or {})
        kinds = {"brokered": "relay", "in_clear": "login", "reveal": "reveal"}
        self._shape: dict[str, Any] = {
            "provider_id": provider_id,
            "provider_name": provider_name,
            "destination": destination,
            "mode": mode,
            "decision": decision,
            "expires_at": expires_at.isoformat() if expires_at else None,
            "deliveries": [
                {
                    "kind": kinds[mode],
                    "mode": mode,
                    "client": client,
                    "openers": list(openers),
                }
            ],
            "reveal_allowed": reveal_allowed,
        }
        # What a request is told to expect.
        self.delivery = delivery or kinds[mode]

    def install(self, broker: ScriptedBroker) -> Handles:
        broker.answers |= {
            "access.request": self.request,
            "access.deliver": self.deliver,
            "access.open": self.open,
            "access.check": self.check,
            "access.reveal": self.deliver,
            "access.release": self.release,
            "connections.list": lambda body: {
                "vault": "unlocked",
                "connections": [
                    {
                        "name": self.name,
                        "provider_id": self._shape["provider_id"],
                        "provider_name": self._shape["provider_name"],
                        "display_name": "",
                        "destination": self._shape["destination"],
                        "status": "ready",
                        "status_reason": None,
                        "delivery": self.delivery,
                    }
                ],
            },
            "providers.list": lambda body: {"providers": [POSTGRESQL]},
            "connections.propose": lambda body: {"id": self.proposal, "expires_at": "2026-11-24T12:10:00Z"},
        }
        return self

    def request(self, body: dict[str, Any]) -> dict[str, Any]:
        if body["connection"] != self.name:
            raise ConnectionNotFound
        # As a broker does, as long as the permission stands.
        held: str = body.get("held") or ""
        ref = held if held in self.refs else new_ref()
        self.refs.add(ref)
        return {"ref": ref, "connection": self.name, "delivery": self.delivery, **self._shape}

    def deliver(self, body: dict[str, Any]) -> dict[str, Any]:
        self._refuse(body)
        return {
            "connection": self.name,
            "provider_id": self._shape["provider_id"],
            "fields": self.fields,
            "secrets": self.secrets,
            "revision": self.revision,
            "rotation": self.rotation,
        }

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        """A place where nobody listens."""
        self._refuse(body)
        return {
            "connection": self.name,
            "provider_id": self._shape["provider_id"],
            "protocol": self._protocol,
            "directory": "/run/h",
            "socket": "/run/h/s",
            "hand_over": False,
            "port": self.port if body["tcp"] else None,
            "token": self.token,
            "fields": self.fields,
            "variables": {**self._variables, **(self._tcp_variables if body["tcp"] else {})},
            "revision": self.revision,
            "rotation": self.rotation,
        }

    def check(self, body: dict[str, Any]) -> dict[str, Any]:
        self._refuse(body)
        return {
            "mode": self._shape["mode"],
            "expires_at": self._shape["expires_at"],
            "revision": self.revision,
            "rotation": self.rotation,
        }

    def release(self, body: dict[str, Any]) -> dict[str, Any]:
        known = body["ref"] in self.refs
        self.refs.discard(body["ref"])
        return {"released": int(known)}

    def _refuse(self, body: dict[str, Any]) -> None:
        if self.refusal is not None:
            raise self.refusal
        if body["ref"] not in self.refs:
            raise HandleInvalid(reason="unknown")


@pytest.fixture
def scripted_broker(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedBroker]:
    """A listening script, where this process looks for its broker."""
    # Not tmp_path: with xdist it is longer than a socket's path may be.
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        broker = ScriptedBroker(Path(folder) / "b.sock")
        broker.start()
        monkeypatch.setenv(frames.SOCKET_VARIABLE, str(broker.path))
        try:
            yield broker
        finally:
            api.held().forget()
            broker.die()
            api.broker().close()


def _json(body: dict[str, Any]) -> bytes:
    import json

    return json.dumps(body).encode()


def _end(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
    stream.close()
