"""The handles that this process has: who of it uses each, which one the next `connection()` can have, and their end.

A handle is let go of when nothing uses it any more: no object of it, nothing that it has opened, and no address that it
gave out. What nobody knows is whether an address is still in use, so those that gave one out stay.
"""

from __future__ import annotations

import contextlib
import os
import queue
import threading
import time
import weakref
from collections.abc import Iterator

from ..errors import ConnvaultError
from .client import BrokerClient
from .families import family_of
from .handle import Handle
from .handle_ref import HandleRef
from .responses import Granted

# What nobody uses is kept for that long: a loop that asks each time round goes on with the same relay and warm login.
_LINGER_S = 1.0

# Each object of `connection()` has a handle of its own, so that `release()` ends just what was opened by it; from that
# many of one connection on they share. The broker has room for 256 of a kernel and what it has started.
_OWN = 64

# A relay serves 256 clients of a handle, and an engine can be a dozen.
_SHARED_BY = 16

# Instead of a note: somebody else has taken it.
_LOOK = "look"


class Held:
    """A handle that the broker has given. `owners`: how many references to it are used; `shown`: its handle objects."""

    __slots__ = ("agent", "connection", "lasting", "owners", "ref", "shares", "shown", "unused_since")

    def __init__(self, granted: Granted, agent: str | None) -> None:
        self.connection = granted.connection
        self.ref = granted.ref
        self.agent = agent
        # *This time* is for one: its next question is a person's.
        self.lasting = granted.decision != "once"
        self.owners = 0
        # How often the broker counted this process: several callers may have waited for one answer.
        self.shares = 0
        self.shown: weakref.WeakSet[object] = weakref.WeakSet()
        self.unused_since: float | None = None

    def use(self) -> None:
        self.owners += 1
        self.unused_since = None

    def drop(self) -> None:
        self.owners -= 1
        if self.owners <= 0:
            self.unused_since = time.monotonic()

    def kept_until(self) -> float | None:
        """`None`: as long as it is used."""
        return None if self.unused_since is None else self.unused_since + (_LINGER_S if self.lasting else 0)


class HeldHandles:
    """All of this process. Safe to use from several threads, from finalizers, and after a fork."""

    def __init__(self, *, client: BrokerClient) -> None:
        self._client = client
        self._lets_go = False
        self._begin()
        if hasattr(os, "register_at_fork"):
            reference = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _begin_again(reference))

    @contextlib.contextmanager
    def offered(self, connection: str, agent: str | None) -> Iterator[Held | None]:
        """One that the next `connection()` may have, kept meanwhile: its object was dropped, or there are very many."""
        with self._lock:
            self._note_drops()
            found = [
                one
                for one in self._held.values()
                if (one.connection, one.agent, one.lasting) == (connection, agent, True)
            ]
            free = [one for one in found if not one.shown and one.owners < _SHARED_BY]
            offer = free[-1] if free else None
            if offer is None and len(found) >= _OWN:
                offer = min(found, key=lambda one: one.owners)
            if offer is not None:
                offer.use()
        try:
            yield offer
        finally:
            if offer is not None:
                self._dropped.put(offer)

    def handle(self, granted: Granted, agent: str | None, offer: Held | None) -> Handle:
        """A handle on what was given, which is what was offered or something new."""
        with self._lock:
            held = self._held.setdefault(str.__str__(granted.ref), Held(granted, agent))
            held.shares += held is not offer
            held.use()
            handle_ref = HandleRef(
                client=self._client, ref=granted.ref, connection=granted.connection, owner=self
            )
            # Not at exit: then the broker sees the end of the process.
            handle_ref.on_drop(self._dropped_of, held)
            self._handle_refs.add(handle_ref)
            made = family_of(granted)(granted=granted, handle_ref=handle_ref)
            held.shown.add(made)
            if not self._lets_go:
                self._lets_go = True
                threading.Thread(
                    target=self._let_go, args=(self._dropped,), name="connvault-handles", daemon=True
                ).start()
        return made

    def handle_refs(self) -> list[HandleRef]:
        """Those that something in this process still uses."""
        return list(self._handle_refs)

    def pin(self, handle_ref: HandleRef) -> None:
        """It has given out an address: it is not let go of by itself any more."""
        with self._lock:
            held = self._held.get(str.__str__(handle_ref.ref))
            # One that nobody can release any more does it for all that follow: a loop must not pile them up.
            if held is None or len(held.shown) > 1 or held not in self._pinned.values():
                self._pinned[handle_ref] = held

    def give_up(self, handle_ref: HandleRef) -> int:
        """A reference is released: how often the broker has to be told; 0: another one uses the same handle."""
        with self._lock:
            self._note_drops()
            self._pinned.pop(handle_ref, None)
            self._handle_refs.discard(handle_ref)
            held = self._held.get(str.__str__(handle_ref.ref))
            if held is None:
                return 1
            held.drop()
            if held.owners > 0:
                return 0
            del self._held[str.__str__(handle_ref.ref)]
            return held.shares

    def over(self, handle_ref: HandleRef) -> None:
        """The broker says that the handle has ended: nobody has to tell it so."""
        with self._lock:
            self._pinned.pop(handle_ref, None)
            self._held.pop(str.__str__(handle_ref.ref), None)

    def forget(self) -> None:
        """As if nothing had been asked for. Nobody is told."""
        self._dropped.put(None)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._handle_refs: weakref.WeakSet[HandleRef] = weakref.WeakSet()
        self._pinned: dict[HandleRef, Held | None] = {}
        # A finalizer runs anywhere, also in a thread that has the lock: it leaves a note, and that is all.
        self._dropped: queue.SimpleQueue[Held | str | None] = queue.SimpleQueue()
        self._lets_go = False

    def _dropped_of(self, held: Held) -> None:
        self._dropped.put(held)

    def _note_drops(self) -> None:
        """Called with the lock."""
        noted = False
        with contextlib.suppress(queue.Empty):
            while True:
                held = self._dropped.get_nowait()
                noted = True
                if isinstance(held, Held):
                    held.drop()
        if noted:
            # The thread waits for a note, and this one was taken from it.
            self._dropped.put(_LOOK)

    def _let_go(self, dropped: queue.SimpleQueue[Held | str | None]) -> None:
        wait_s: float | None = None
        while True:
            with contextlib.suppress(queue.Empty):
                held = dropped.get(timeout=wait_s)
                if held is None:
                    return
                if isinstance(held, Held):
                    with self._lock:
                        held.drop()
            over, wait_s = self._unused()
            for one in over:
                # If it can't be told now: with the kernel it ends anyway.
                with contextlib.suppress(ConnvaultError):
                    for _ in range(one.shares):
                        self._client.ask("access.release", {"ref": one.ref})

    def _unused(self) -> tuple[list[Held], float | None]:
        """Those whose time is over, which are forgotten; and in how many seconds it is so of the next."""
        with self._lock:
            now = time.monotonic()
            ends = {ref: end for ref, one in self._held.items() if (end := one.kept_until()) is not None}
            over = [self._held.pop(ref) for ref, end in ends.items() if end <= now]
            later = [end - now for end in ends.values() if end > now]
            return over, min(later, default=None)


def _begin_again(reference: weakref.ref[HeldHandles]) -> None:
    held = reference()
    if held is not None:
        # What was inherited is the parent's to let go of. The lock may be held by a thread that this child does not
        # have.
        held._begin()
