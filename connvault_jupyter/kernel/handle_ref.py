"""What a handle may ask of the broker while it lives: deliver, open, check, reveal, release. It does not connect to
services.

Nothing is cached, so that a revoke or a replaced secret takes effect at the next use.
"""

from __future__ import annotations

import contextlib
import os
import socket
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from ..errors import (
    BrokerUnavailable,
    ConnvaultError,
    HandleInvalid,
    VaultLocked,
)
from . import responses
from .broker_client import BrokerClient
from .masked import MaskedStr

# The broker ends the wait itself; this is extra time for its answer, and for unlocking the vault first.
WAIT_GRACE_S = 15.0

# The first relay of a broker takes 0.1 s to start, much longer on a machine that swaps.
OPEN_S = 15.0


class Owner(Protocol):
    """Knows which other references in this process use the same handle (`held_handles.HeldHandles`)."""

    def pin(self, handle_ref: HandleRef) -> None: ...

    def give_up(self, handle_ref: HandleRef) -> int: ...

    def over(self, handle_ref: HandleRef) -> None: ...


class HandleRef:
    """A handle ref together with its channel. Whatever it has opened keeps it alive."""

    __slots__ = (
        "__weakref__",
        "_client",
        "_finalizer",
        "_opened",
        "_owed",
        "_owner",
        "_places",
        "_ref",
        "connection",
        "ended",
        "released",
        "told",
    )

    def __init__(
        self, *, client: BrokerClient, ref: MaskedStr, connection: str, owner: Owner | None = None
    ) -> None:
        self._client = client
        self._owner = owner
        self._finalizer: weakref.finalize[[Any], HandleRef] | None = None
        self._opened: weakref.WeakSet[Any] = weakref.WeakSet()
        self._places: set[str] = set()
        self._ref = ref
        self._owed = 0
        self.connection = connection
        self.released = False
        # The error with which the broker said that the handle has ended.
        self.ended = False
        # Whether the person was told.
        self.told = False

    def __repr__(self) -> str:
        return f"<handle of {self.connection}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a handle can't be pickled: it works in this kernel only")

    @property
    def ref(self) -> MaskedStr:
        return self._ref

    @property
    def places(self) -> frozenset[str]:
        """Where the handle listens, as errors name it: a directory, a loopback address."""
        return frozenset(self._places)

    def deliver(self) -> responses.Delivered:
        """A login, valid now. Raises: HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ..."""
        return responses.delivered(self._ask("access.deliver", {"ref": self._ref}))

    def open(self, *, tcp: bool = False) -> responses.RelayEndpoint:
        """Where the handle listens; `tcp`: on loopback too.

        Raises: HandleInvalid, VaultLocked, BrokerUnavailable, ...
        """
        found = responses.opened(self._ask("access.open", {"ref": self._ref, "tcp": tcp}, timeout_s=OPEN_S))
        self._places.add(found.directory)
        if found.port is not None:
            self._places.add(f"127.0.0.1:{found.port}")
        return found

    def open_loopback(self) -> tuple[responses.RelayEndpoint, int]:
        """Where it listens for what can't use a Unix socket, and the port on 127.0.0.1. Raises: as `open`."""
        opened = self.open(tcp=True)
        if opened.port is None:
            raise BrokerUnavailable(connection=self.connection)
        return opened, opened.port

    def check(self) -> responses.HandleState:
        """Checks that the handle is still valid. Raises: HandleInvalid, ..."""
        return responses.handle_state(self._ask("access.check", {"ref": self._ref}))

    def why_ended(self) -> HandleInvalid | VaultLocked | None:
        """Why it is no longer valid; `None`: it is valid, or that is unknown."""
        try:
            self.check()
        except (HandleInvalid, VaultLocked) as exc:
            return exc
        except ConnvaultError:
            pass
        return None

    def reveal(self, reason: str | None, timeout_s: float) -> responses.Delivered:
        """Asks a person for plain text and waits. Raises: AccessDenied, ConsentTimeout, RevealForbidden, ..."""
        return responses.delivered(
            self._ask(
                "access.reveal",
                {"ref": self._ref, "reason": reason, "timeout_s": timeout_s},
                timeout_s=timeout_s + WAIT_GRACE_S,
            )
        )

    def secret_fields(self, provider_id: str) -> frozenset[str]:
        """The names of a kind's secret fields; asks no person. Raises: BrokerUnavailable."""
        kinds = responses.providers(self._ask("providers.list", {}))
        return frozenset(name for kind in kinds if kind.id == provider_id for name in kind.secret_fields)

    def give_out(self) -> None:
        """Notes that an address of it was read, by which something unknown may use it: it is no longer released
        automatically."""
        if self._owner is not None:
            self._owner.pin(self)

    def opens(self, opened: Any) -> None:
        """Notes a new client, which keeps the handle alive. If only this reference is released, the client is ended by
        its `fileno()`, if it has one."""
        weakref.finalize(opened, _nothing, self).atexit = False
        self._opened.add(opened)

    def on_drop(self, call: Callable[[Any], None], with_what: Any) -> None:
        """Calls it when nothing uses the handle any more, unless it was released earlier; not when the process
        exits."""
        self._finalizer = weakref.finalize(self, call, with_what)
        self._finalizer.atexit = False

    def refuse_if_released(self) -> None:
        """For clients that don't ask the broker at each use. Raises: HandleInvalid."""
        if self.released:
            raise HandleInvalid(reason="released", connection=self.connection)

    def release(self) -> None:
        """Releases the handle. Harmless if it is already gone.

        If others in this process use the same handle, only what this reference has opened ends.
        """
        if not self.released:
            self.released = self.ended = True
            if self._finalizer is not None:
                self._finalizer.detach()
            self._owed = 1 if self._owner is None else self._owner.give_up(self)
            if not self._owed:
                self._end_own()
        while self._owed:
            self._ask("access.release", {"ref": self._ref})
            self._owed -= 1

    def _end_own(self) -> None:
        for one in list(self._opened):
            # Already closed, or its library does not say.
            with contextlib.suppress(Exception), socket.socket(fileno=os.dup(one.fileno())) as copy:
                copy.shutdown(socket.SHUT_RDWR)

    def _ask(
        self, operation: str, body: dict[str, object], timeout_s: float | None = None
    ) -> dict[str, object]:
        if operation != "access.release":
            self.refuse_if_released()
        try:
            if timeout_s is None:
                return self._client.ask(operation, body)
            return self._client.ask(operation, body, timeout_s=timeout_s)
        except ConnvaultError as exc:
            if isinstance(exc, HandleInvalid):
                self.ended = True
                if self._owner is not None:
                    self._owner.over(self)
            exc.details.setdefault("connection", self.connection)
            raise


def _nothing(_handle_ref: HandleRef) -> None:
    """The callback of finalizers that only keep something alive."""
