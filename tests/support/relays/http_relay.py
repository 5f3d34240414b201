"""Handles for HTTP APIs at real relay processes, and a client that sends bytes as they are."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from connvault_jupyter.relays.http.bodies import Chunked
from connvault_jupyter.relays.http.heads import END, ResponseHead, response_head
from connvault_jupyter.services.relay_ports import RelayEndpoint

from .relay_handles import Relays, Vault, supervised_by

WAIT_S = 10.0


class HttpRelays(Relays):
    """Handles for an HTTP API."""

    def point(self, base_url: str, *, secrets: dict[str, str] | None = None, **fields: Any) -> HttpRelays:
        """Goes to this address from now on."""
        self.vault.fields = {"base_url": base_url, "auth": "none", **fields}
        self.vault.secrets = secrets or {}
        self.vault.revision += 1
        self.vault.refusal = None
        return self


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

    def __init__(self, endpoint: RelayEndpoint, *, tcp: bool = False) -> None:
        if tcp:
            assert endpoint.port is not None
            self.stream = socket.create_connection(("127.0.0.1", endpoint.port), timeout=WAIT_S)
        else:
            self.stream = socket.socket(socket.AF_UNIX)
            self.stream.settimeout(WAIT_S)
            self.stream.connect(endpoint.socket)
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
        body = Chunked()
        found = body.feed(self.read) if self.read else b""
        while not body.over:
            found += body.feed(self.stream.recv(65536))
        self.read = body.rest
        return found


@contextmanager
def http_relays() -> Iterator[HttpRelays]:
    """`point` it at a server first."""
    vault = Vault("http", {}, {})
    with supervised_by(vault) as supervisor:
        yield HttpRelays(supervisor, vault)
