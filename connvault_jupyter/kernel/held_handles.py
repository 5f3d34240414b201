"""The handles of this process: which references use each, which one the next `connection()` may reuse, and when they
end.

A handle is released when nothing uses it any more: no handle object, no client, no address. Nobody knows whether an
address is still in use, so a handle whose address was read stays.
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
from .broker_client import BrokerClient
from .families import family_of
from .handle import Handle
from .handle_ref import HandleRef
from .responses import Granted

# How long unused handles are kept, so that a loop that calls `connection()` each time keeps the same relay and warm
# login.
_LINGER_S = 1.0

# Each object returned by `connection()` has its own handle, so that `release()` ends only what it has opened; beyond
# this number per connection they share. The broker allows 256 for a kernel and its children.
_OWN = 64

# A relay serves 256 clients per handle, and one engine can have a dozen.
_SHARED_BY = 16

# Instead of a note: another thread has taken it.
_LOOK = "look"


class Held:
    """A handle from the broker. `owners`: the number of references in use; `shown`: its handle objects."""

    __slots__ = ("agent", "connection", "lasting", "owners", "ref", "shares", "shown", "unused_since")

    def __init__(self, granted: Granted, agent: str | None) -> None:
        self.connection = granted.connection
        self.ref = granted.ref
        self.agent = agent
        # *This time* covers one handle: the next request asks a person again.
        self.lasting = granted.decision != "once"
        self.owners = 0
        # How many callers the broker counts: several may have waited for one answer.
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
    """All handles of this process. Thread-safe, safe in finalizers and after a fork."""

    def __init__(self, *, client: BrokerClient) -> None:
        self._client = client
        self._lets_go = False
        self._begin()
        if hasattr(os, "register_at_fork"):
            reference = weakref.ref(self)
            os.register_at_fork(after_in_child=lambda: _begin_again(reference))

    @contextlib.contextmanager
    def offered(self, connection: str, agent: str | None) -> Iterator[Held | None]:
        """A handle that the next `connection()` may reuse, kept in the meantime: its object is gone, or there are very
        many."""
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
        """A handle object for what the broker gave: the offered handle or a new one."""
        with self._lock:
            held = self._held.setdefault(str.__str__(granted.ref), Held(granted, agent))
            held.shares += held is not offer
            held.use()
            handle_ref = HandleRef(
                client=self._client, ref=granted.ref, connection=granted.connection, owner=self
            )
            # Not at exit: the broker then notices that the process ends.
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
        """The references that are still in use in this process."""
        return list(self._handle_refs)

    def pin(self, handle_ref: HandleRef) -> None:
        """An address of it was read: it is no longer released automatically."""
        with self._lock:
            held = self._held.get(str.__str__(handle_ref.ref))
            # A handle that can't be released is reused for all that follow: a loop must not pile them up.
            if held is None or len(held.shown) > 1 or held not in self._pinned.values():
                self._pinned[handle_ref] = held

    def give_up(self, handle_ref: HandleRef) -> int:
        """Releases a reference; returns how often the broker must be told; 0: another reference uses the same
        handle."""
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
        """The broker has reported that the handle ended, so it need not be told."""
        with self._lock:
            self._pinned.pop(handle_ref, None)
            self._held.pop(str.__str__(handle_ref.ref), None)

    def forget(self) -> None:
        """Forgets all handles without telling the broker."""
        self._dropped.put(None)
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[str, Held] = {}
        self._handle_refs: weakref.WeakSet[HandleRef] = weakref.WeakSet()
        self._pinned: dict[HandleRef, Held | None] = {}
        # A finalizer runs anywhere, even in a thread that holds the lock, so it only leaves a note.
        self._dropped: queue.SimpleQueue[Held | str | None] = queue.SimpleQueue()
        self._lets_go = False

    def _dropped_of(self, held: Held) -> None:
        self._dropped.put(held)

    def _note_drops(self) -> None:
        """Called with the lock held."""
        noted = False
        with contextlib.suppress(queue.Empty):
            while True:
                held = self._dropped.get_nowait()
                noted = True
                if isinstance(held, Held):
                    held.drop()
        if noted:
            # The thread waits for a note, but this one was taken already.
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
                # If the broker can't be told now: the handle ends with the kernel anyway.
                with contextlib.suppress(ConnvaultError):
                    for _ in range(one.shares):
                        self._client.ask("access.release", {"ref": one.ref})

    def _unused(self) -> tuple[list[Held], float | None]:
        """Removes and returns those whose time is up, with the seconds until the next one."""
        with self._lock:
            now = time.monotonic()
            ends = {ref: end for ref, one in self._held.items() if (end := one.kept_until()) is not None}
            over = [self._held.pop(ref) for ref, end in ends.items() if end <= now]
            later = [end - now for end in ends.values() if end > now]
            return over, min(later, default=None)


def _begin_again(reference: weakref.ref[HeldHandles]) -> None:
    held = reference()
    if held is not None:
        # Inherited handles are released by the parent. The lock may be held by a thread that does not exist in this
        # child.
        held._begin()
