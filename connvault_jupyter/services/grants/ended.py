"""What has ended, whether or not that could be stored yet. Readable from any thread, without lock or database.

Any process of the same user can block the database for as long as it likes, and whoever waits for it holds the
broker's lock. So everything that ends is noted here first: open connections are cut, and the next use is refused.
Storing it comes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ...contracts.access import Grant, Requester
from ..identifiers import ref_hash
from ..relay_ports import RelayOrder


class Ended:
    """Grants and runs by id, handles by ref. Entries are dropped once stored, as the rows are then gone. `all_of_it`:
    the vault is being locked. `cut` is called whenever something has ended, and never blocks."""

    def __init__(self, *, cut: Callable[[], None]) -> None:
        self._cut = cut
        # Changed one entry at a time, which is atomic for all threads.
        self._names: set[str] = set()
        self.all_of_it = False

    def __bool__(self) -> bool:
        return self.all_of_it or bool(self._names)

    def add(self, names: Iterable[str]) -> None:
        """Notes that these have ended, from now on."""
        self._names.update(names)
        self._cut()

    @contextmanager
    def everything(self) -> Iterator[None]:
        """A block in which nothing may stay open."""
        self.all_of_it = True
        self._cut()
        try:
            yield
        finally:
            self.all_of_it = False

    def forget(self, names: Iterable[str]) -> None:
        """Drops what is stored now, or never existed."""
        self._names.difference_update(names)

    def grant(self, grant: Grant) -> bool:
        """Whether this grant has ended, or the run to which it was given."""
        return grant.id in self._names or grant.instance in self._names

    def handle(self, ref: str, requester: Requester) -> bool:
        """Whether this handle of this run was released, or the run has ended."""
        return bool(self._names) and (name_of(ref) in self._names or requester.instance in self._names)

    def covers(self, order: RelayOrder) -> bool:
        """Whether the open connections of this order must be cut."""
        return self.all_of_it or order.grant_id in self._names or self.handle(order.ref, order.requester)


def name_of(ref: str) -> str:
    """The key under which a handle is noted; refs are never kept."""
    return ref_hash(ref).hex()
