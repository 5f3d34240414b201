"""One client's connection to a handle's listener, as protocols use it: its stream, its login, its end.

It is served by one thread. `cut` may be called by another thread at any time and ends everything. It knows no
protocol; the broker decides who may log in.
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

# More frequent requests share a login, so that there is one audit event per second, not per request. A revoke does not
# depend on it: it cuts the connection.
LOGIN_KEPT_S = 1.0

# socket(7): on, for 0 s.
_NO_LINGER = struct.pack("@ii", 1, 0)


@dataclass(frozen=True)
class Login:
    """What to log in with, for one login. `fields` are complete. Drop it as soon as it is used."""

    fields: Mapping[str, Any]
    secrets: Mapping[str, str] = attribute(repr=False)
    revision: int
    rotation: str


@dataclass(frozen=True)
class Handle:
    """A handle as its worker knows it. `id` names it between broker and worker; `token` is for its TCP port.

    `kept` is for what a relay keeps between this handle's clients: no other handle can use it, and it ends with this
    one.
    """

    id: str
    directory: str
    token: str = attribute(repr=False)
    fields: Mapping[str, Any]
    kept: dict[str, Any] = attribute(default_factory=dict, repr=False, compare=False)


def no_token() -> HandleInvalid:
    """The error for a client on TCP that did not send the handle's token."""
    return HandleInvalid(
        "This port is only for the owner of a handle. Send the handle's token as the password, Bearer "
        "token or API key.",
        reason="unknown",
    )


class Relay(Protocol):
    """One protocol in one worker: `Relay(limits=...)` of each protocol's `relay.py`.

    A worker serves one connection under one grant, so what a relay keeps (warm logins, tokens) is never shared with
    others.
    """

    def serve(self, downstream: Downstream) -> None:
        """Serves a client until it or its upstream ends; the caller closes both. Called in a thread of its own.

        May raise ConnvaultError and OSError when there is nobody left to tell.
        """

    def log_in(self, login: Login) -> str:
        """Logs in once and disconnects; returns our name for the product and the server's version, or an empty text.

        Raises: UpstreamError and its kinds, SecretMissing, SecretInvalid.
        """

    def forget(self) -> None:
        """Ends what is kept between clients; new sessions are kept as before."""

    def close(self) -> None:
        """Ends what is kept between clients."""


class Downstream:
    """An accepted client. `ask` gets a login from the broker; `hand` tells it about a socket that is handed over,
    `sight` about a masked secret."""

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
        # Duplicates: shutting one down ends the connection without touching TLS state that another thread is using.
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
        """Whether this is the handle's token. Only needed on TCP; on the Unix socket the broker identifies the
        peer."""
        given = credential.encode() if isinstance(credential, str) else credential
        return hmac.compare_digest(given, self.handle.token.encode())

    def login(self) -> Login:
        """A login for this client, after the broker has identified it and logged the use.

        Raises: ConnvaultError: the broker's error (HandleInvalid, VaultLocked, SecretMissing, ...).
        """
        if self._ended:
            raise HandleInvalid(reason="revoked")
        found = self._ask(self)
        self.let_in = True
        return found

    def current_login(self, max_age_s: float = LOGIN_KEPT_S) -> Login:
        """Like `login`, or the previous one if it is recent enough."""
        now = time.monotonic()
        if self._current_login is None or now - self._current_login[0] >= max_age_s or self._ended:
            self._current_login = None
            self._current_login = (now, self.login())
        return self._current_login[1]

    def forget(self) -> None:
        """Drops the login, which nobody uses at the moment."""
        self._current_login = None

    def sighted(self) -> None:
        """Tells the broker that a secret was masked in what the client receives."""
        if self._sight is not None:
            self._sight(self)

    def adopt(self, upstream: socket.socket) -> None:
        """From now on a cut ends this connection too. Raises: HandleInvalid: it was already cut."""
        copy = socket.socket(fileno=os.dup(upstream.fileno()))
        with self._lock:
            if not self._ended:
                self._adopted[upstream] = copy
                return
        shut(copy)
        raise HandleInvalid(reason="revoked")

    def disown(self, upstream: socket.socket) -> bool:
        """A cut no longer ends this connection, which is kept for another client. `False`: it was already cut."""
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
            # Closing then resets it. A server that waits for room to send would not notice an ordinary end for a
            # minute.
            with contextlib.suppress(OSError):
                upstream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        for stream in (self.stream, *upstreams):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(stream, socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes everything of this client, after it was served."""
        with self._lock:
            self._ended = True
            self._current_login = None
            adopted, self._adopted = self._adopted, {}
        for stream in (self.stream, *adopted.values()):
            shut(stream)
        if self.hand_over is not None:
            self.hand_over.close()

    def offer(self, session: int, upstream: socket.socket, *, at_rest: bool = True) -> HandOver:
        """Lets the client take over its upstream socket under this number, as long as the copying continues.

        `at_rest`: whether the session is idle at the start.
        """
        self.hand_over = HandOver(
            session=session,
            upstream=upstream,
            hand=lambda descriptor: self._hand(self, descriptor),
            at_rest=at_rest,
        )
        return self.hand_over
