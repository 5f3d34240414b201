"""What a requester sees of a relay's work, as a list of events: bytes, where they are cut, in which order, how it ends.

A whole relay runs in one thread between a client and a service that are scripted (`scripted_streams`), so the same
dialogue with the same secret is the same list each time. Two secrets must give the same list. The service's own
progress is an event too: it tells when something comes that was held back, without a clock.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any

from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.copying import Filter
from connvault_jupyter.relays.downstream import Login, Relay
from connvault_jupyter.relays.limits import Limits

from ..relays.scripted_streams import Scripted, downstream_of

LIMITS = Limits(login_s=20, greeting_s=20, warm_logins=0)

Event = tuple[Any, ...]

Say = bytes | Callable[[bytes], bytes]
"""A block, or what makes one of all that the service was sent so far: it knows the secret too."""

Leak = Callable[[bytes, bytes], Iterable[bytes]]
"""(what was said last, a piece for the client) -> the pieces that it gets instead. For planted ones only."""


class Traced(Scripted):
    """One side of a dialogue; `name` is its own in the events."""

    def __init__(self, name: str, trace: list[Event], *said: Say, leak: Leak | None = None) -> None:
        super().__init__()
        self._blocks: list[Say] = [one for one in reversed(said) if one]
        self._name = name
        self._trace = trace
        self._leak = leak
        self.last = b""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        if not self._blocks:
            self._trace.append((self._name, "has said all"))
            return b""
        block = self._blocks.pop()
        found = block(bytes(self.sent)) if callable(block) else block
        if len(found) > bufsize:
            self._blocks.append(found[bufsize:])
            found = found[:bufsize]
        self.last = found
        self._trace.append((self._name, "says", len(found)))
        return found


class Service(Traced):
    """The upstream. What it is sent may have the secret in it, and is its own affair."""

    def __init__(self, trace: list[Event], *said: Say) -> None:
        super().__init__("the service", trace, *said)


class TlsService(Service, ssl.SSLSocket):  # type: ignore[misc]  # asked for its kind, and for bytes
    """As if it were encrypted, by `in_tls`."""

    def getpeercert(self, binary_form: bool = False) -> Any:
        """None that a login could be bound to."""
        return b""

    def pending(self) -> int:
        return 0


def in_tls(plain: Service, *_arguments: object, **_named: object) -> TlsService:
    """In the place of `upstream.encrypt`: it always succeeds."""
    made = TlsService(plain._trace)
    made._blocks, made.sent = plain._blocks, plain.sent
    plain.close()
    return made


class Client(Traced):
    """The requester: all that it gets is in the trace."""

    def __init__(self, trace: list[Event], *said: Say, service: Service, leak: Leak | None = None) -> None:
        super().__init__("the client", trace, *said, leak=leak)
        self._service = service

    def send(self, data: Any, flags: int = 0, /) -> int:
        self._get(bytes(data))
        return len(data)

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        self._get(bytes(data))

    def shutdown(self, how: int, /) -> None:
        self._trace.append(("the client", "is told the end", how))

    def _get(self, data: bytes) -> None:
        pieces = (data,) if self._leak is None else self._leak(self.last + b"\0" + self._service.last, data)
        for piece in pieces:
            self.sent += piece
            self._trace.append(("the client", "gets", piece))


def in_turns(
    client: socket.socket,
    upstream: socket.socket,
    *,
    limits: Limits,
    to_upstream: Filter | None = None,
    to_client: Filter | None = None,
    **_others: object,
) -> str:
    """In the place of `copying.copy_both`: a block of the one side, a block of the other, until both have ended."""
    ways = [(client, upstream, to_upstream), (upstream, client, to_client)]
    while ways:
        for way in tuple(ways):
            source, target, transform = way
            data = source.recv(limits.block_bytes)
            if not data:
                ways.remove(way)
            shown = data if transform is None else transform(data)
            if shown:
                target.sendall(shown)
    return "ended"


def traced(
    relay: Relay, login: Login, *, trace: list[Event], client: Client, limits: Limits, over_tcp: bool = False
) -> list[Event]:
    """Serves this client to its end; the trace with how it ended."""
    downstream = downstream_of(client, login, limits=limits, over_tcp=over_tcp)
    try:
        relay.serve(downstream)
    except ConnvaultError as exc:
        trace.append(("refused", exc.code, exc.message, exc.details))
    except OSError as exc:
        trace.append(("broken", type(exc).__name__))
    finally:
        downstream.close()
        relay.close()
    return trace
