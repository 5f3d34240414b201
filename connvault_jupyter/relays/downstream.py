"""One client's connection to a handle's listener, as a protocol sees it: its stream, its login, its end.

It is served by one thread. `cut` comes from another one at any time and ends whatever goes on. No protocol is known
here, and who may log in is decided by the broker.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from typing import Any, Protocol

from ..errors import HandleInvalid
from .hand_over import HandOver
from .limits import Limits
from .upstream import shut

# A request more often than that shares its login with the one before: the record has a row a second, not a row a
# request. A revoked permission does not wait for it: it cuts the connection.
LOGIN_KEPT_S = 1.0

# socket(7): on, for 0 s.
_NO_LINGER = struct.pack("@ii", 1, 0)


@dataclass(frozen=True)
class Login:
    """What to log in with, for one login. `fields` are complete; let go of it as soon as it is used."""

    fields: Mapping[str, Any]
    secrets: Mapping[str, str] = attribute(repr=False)
    revision: int
    rotation: str


@dataclass(frozen=True)
class Handle:
    """A handle as its worker knows it. `id` names it between broker and worker; `token` opens its TCP port.

    `kept` is for what a relay keeps between this handle's clients: no other handle gets it, and it ends with it.
    """

    id: str
    directory: str
    token: str = attribute(repr=False)
    fields: Mapping[str, Any]
    kept: dict[str, Any] = attribute(default_factory=dict, repr=False, compare=False)


def no_token() -> HandleInvalid:
    """What a client on TCP is told that did not give the handle's token."""
    return HandleInvalid(
        "This port is only for the owner of a handle. Send the handle's token as the password, Bearer "
        "token or API key.",
        reason="unknown",
    )


class Relay(Protocol):
    """One protocol in one worker: `Relay(limits=...)` of each protocol's `relay.py`.

    A worker serves one connection under one grant, so what a relay keeps (warm logins, tokens) is never another's.
    """

    def serve(self, downstream: Downstream) -> None:
        """Serves a client until it or its upstream ends; the caller closes both. Called in a thread of its own.

        May raise ConnvaultError and OSError when there is nobody to tell any more.
        """

    def log_in(self, login: Login) -> str:
        """Logs in once and leaves; a name of ours and the server's version number, or empty.

        Raises: UpstreamError and its kinds, SecretMissing, SecretInvalid.
        """

    def forget(self) -> None:
        """Ends what is kept between clients; what comes afterwards is kept as before."""

    def close(self) -> None:
        """Ends what is kept between clients."""


class Downstream:
    """An accepted client. `ask` gets a login from the broker; `hand` tells it of a socket that is passed on, `sight` of
    a secret that was masked."""

    def __init__(
        self,
        *,
        stream: socket.socket,
        handle: Handle,
        over_tcp: bool,
        limits: Limits,
        ask: Callable[[Downstream], Login],
        hand: Callable[[Downstream, int], Callable[[bool], None]],
        sight: Callable[[Downstream], None] | None = None,
    ) -> None:
        self.stream = stream
        self.handle = handle
        self.over_tcp = over_tcp
        self.limits = limits
        self._ask = ask
        self._hand = hand
        self._sight = sight
        self._lock = threading.Lock()
        self._ended = False
        # Duplicates: shutting one down ends the connection, and touches no TLS state that another thread is using.
        self._adopted: dict[socket.socket, socket.socket] = {}
        self._current_login: tuple[float, Login] | None = None
        self.hand_over: HandOver | None = None
        # Whether the broker has given it a login.
        self.let_in = False

    @property
    def ended(self) -> bool:
        """Whether it was cut."""
        return self._ended

    def authenticates(self, credential: str | bytes) -> bool:
        """Whether this is the handle's token. Needed on TCP only; on the Unix socket the broker looks who is there."""
        given = credential.encode() if isinstance(credential, str) else credential
        return hmac.compare_digest(given, self.handle.token.encode())

    def login(self) -> Login:
        """A login for this client, after the broker has found out who it is and recorded the use.

        Raises: ConnvaultError: what the broker answers (HandleInvalid, VaultLocked, SecretMissing ...).
        """
        if self._ended:
            raise HandleInvalid(reason="revoked")
        found = self._ask(self)
        self.let_in = True
        return found

    def current_login(self, max_age_s: float = LOGIN_KEPT_S) -> Login:
        """Like `login`, or the last one if it is not older than that."""
        now = time.monotonic()
        if self._current_login is None or now - self._current_login[0] >= max_age_s or self._ended:
            self._current_login = None
            self._current_login = (now, self.login())
        return self._current_login[1]

    def forget(self) -> None:
        """Lets go of the login: nobody uses it at the moment."""
        self._current_login = None

    def sighted(self) -> None:
        """What the client gets had a secret in it, which is masked: the broker is told."""
        if self._sight is not None:
            self._sight(self)

    def adopt(self, upstream: socket.socket) -> None:
        """From now on a cut ends this connection too. Raises: HandleInvalid: it was cut already."""
        copy = socket.socket(fileno=os.dup(upstream.fileno()))
        with self._lock:
            if not self._ended:
                self._adopted[upstream] = copy
                return
        shut(copy)
        raise HandleInvalid(reason="revoked")

    def disown(self, upstream: socket.socket) -> bool:
        """A cut ends this connection no more: it is kept for another client. `False`: it was cut already."""
        if self.hand_over is not None:
            self.hand_over.close()
        with self._lock:
            copy = self._adopted.pop(upstream, None)
            if copy is not None:
                copy.close()
            return copy is not None and not self._ended

    def cut(self) -> None:
        """Ends the client's connection and its upstream, at once."""
        with self._lock:
            self._ended = True
            self._current_login = None
            upstreams = tuple(self._adopted.values())
        for upstream in upstreams:
            # Closing it resets it then. A server that waits for room to send would not hear of a mere end for a minute.
            with contextlib.suppress(OSError):
                upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        for stream in (self.stream, *upstreams):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(stream, socket.SHUT_RDWR)

    def close(self) -> None:
        """The client is served: everything of it is closed."""
        with self._lock:
            self._ended = True
            self._current_login = None
            adopted, self._adopted = self._adopted, {}
        for stream in (self.stream, *adopted.values()):
            shut(stream)
        if self.hand_over is not None:
            self.hand_over.close()

    def offer(self, session: int, upstream: socket.socket, *, at_rest: bool = True) -> HandOver:
        """Lets the client ask for its upstream socket under this number, for as long as the copying goes on.

        `at_rest`: whether nothing is under way before that.
        """
        self.hand_over = HandOver(
            session=session,
            upstream=upstream,
            hand=lambda descriptor: self._hand(self, descriptor),
            at_rest=at_rest,
        )
        return self.hand_over
