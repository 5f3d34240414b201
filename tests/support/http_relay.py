"""Real relay processes for HTTP, wired as in the broker; the test is the broker: it answers the logins."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from connvault_jupyter.contracts.access import Delivered, Requester
from connvault_jupyter.contracts.contract import ConnectionId
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.http.heads import END, ResponseHead, response_head
from connvault_jupyter.relays.supervisor import Login, RelaySupervisor
from connvault_jupyter.services.ports import RelayOrder, RelayPlace
from tests.support.relay_process import supervised

WAIT_S = 10.0


@dataclass
class Secrets:
    """What the relays are answered. `refusal` is raised instead; `asked` are the refs of all logins."""

    fields: dict[str, Any]
    secrets: dict[str, str] = field(repr=False)
    rotation: str = "r1"
    revision: int = 1
    refusal: ConnvaultError | None = None
    ended: set[str] = field(default_factory=set)
    asked: list[str] = field(default_factory=list)

    def login(self, _client: socket.socket, _whose: Requester, ref: str) -> Delivered:
        self.asked.append(ref)
        if self.refusal is not None:
            raise self.refusal
        return Delivered.model_validate(
            {
                "connection": "warehouse",
                "provider_id": "http",
                "fields": self.fields,
                "secrets": self.secrets,
                "revision": self.revision,
                "rotation": self.rotation,
            }
        )


class HttpRelays:
    """Opens handles for one connection: the one that `store` knows at the moment."""

    def __init__(self, supervisor: RelaySupervisor, store: Secrets) -> None:
        self.supervisor = supervisor
        self.store = store

    def point(self, base_url: str, *, secrets: dict[str, str] | None = None, **fields: Any) -> HttpRelays:
        """Goes to this address from now on."""
        self.store.fields = {"base_url": base_url, "auth": "none", **fields}
        self.store.secrets = secrets or {}
        self.store.revision += 1
        self.store.refusal = None
        return self

    def order(self, ref: str | None = None, *, tcp: bool = False) -> RelayOrder:
        return order_of(ref or new_ref(), self.store.fields, tcp=tcp)

    def place(self, ref: str | None = None, *, tcp: bool = False) -> RelayPlace:
        return self.supervisor.open(self.order(ref, tcp=tcp))

    def revoke(self, ref: str) -> None:
        self.store.ended.add(ref)
        self.supervisor.changed()


@dataclass
class Answer:
    head: ResponseHead
    body: bytes

    @property
    def status(self) -> int:
        return self.head.status

    def header(self, name: str) -> str:
        return ", ".join(self.head.values(name.lower()))


class RawClient:
    """Sends bytes as they are, and reads answers with a `Content-Length` or in chunks, with what they are framed by."""

    def __init__(self, place: RelayPlace, *, tcp: bool = False) -> None:
        if tcp:
            assert place.port is not None
            self.stream = socket.create_connection(("127.0.0.1", place.port), timeout=WAIT_S)
        else:
            self.stream = socket.socket(socket.AF_UNIX)
            self.stream.settimeout(WAIT_S)
            self.stream.connect(place.socket)
        self.read = b""

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stream.close()

    def send(self, data: bytes) -> RawClient:
        self.stream.sendall(data)
        return self

    def get(self, target: str = "/", *headers: str, method: str = "GET", body: bytes = b"") -> RawClient:
        lines = [f"{method} {target} HTTP/1.1", "Host: any", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        return self.send("\r\n".join([*lines, "", ""]).encode("latin-1") + body)

    def head(self) -> ResponseHead:
        while END not in self.read:
            data = self.stream.recv(65536)
            assert data, f"the relay has hung up after {self.read[:300]!r}"
            self.read += data
        head, _, self.read = self.read.partition(END)
        return response_head(head + END)

    def answer(self, *, bodyless: bool = False) -> Answer:
        """The next answer, whole."""
        head = self.head()
        if bodyless or head.status in (204, 304):
            return Answer(head, b"")
        if head.framing == "chunked":
            return Answer(head, self._chunks())
        if head.framing == "close":
            return Answer(head, self.rest())
        while len(self.read) < head.length:
            data = self.stream.recv(65536)
            assert data, f"the relay has hung up after {len(self.read)} of {head.length} bytes"
            self.read += data
        body, self.read = self.read[: head.length], self.read[head.length :]
        return Answer(head, body)

    def rest(self) -> bytes:
        """All that comes until the end; a broken connection is an end too."""
        found, self.read = self.read, b""
        try:
            while data := self.stream.recv(65536):
                found += data
        except ConnectionResetError:
            pass
        return found

    def _chunks(self) -> bytes:
        from connvault_jupyter.relays.http.bodies import Chunked

        body = Chunked()
        found = body.feed(self.read) if self.read else b""
        while not body.over:
            found += body.feed(self.stream.recv(65536))
        self.read = body.rest
        return found


def order_of(ref: str, fields: dict[str, Any], *, tcp: bool = False) -> RelayOrder:
    """For this process, whoever asks."""
    return RelayOrder(
        ref=ref,
        requester=Requester(kind="notebook", key="n", instance="k", label="n", pid=os.getpid()),
        connection_id=ConnectionId("c" * 22),
        protocol="http",
        fields=fields,
        tcp=tcp,
    )


def new_ref() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")


@contextmanager
def http_relays(login: Login | None = None) -> Iterator[HttpRelays]:
    """A zygote and, from the first handle on, a worker; all gone afterwards. `point` it at a server first."""
    store = Secrets({}, {})
    with supervised(
        login=login or store.login,
        still_good=lambda _whose, ref: ref not in store.ended,
        version=lambda: len(store.ended),
    ) as supervisor:
        yield HttpRelays(supervisor, store)
