"""What has ended here, whether or not that could be stored yet. Asked from any thread, without lock and database.

Any process of the same user can hold the database for as long as it likes, and whoever waits for it has the broker's
lock. So what ends is noted here first: what is open is cut by it, and no next use gets by. Storing it comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from ...contracts.access import Grant, Requester
from ..identifiers import ref_hash
from ..relay_ports import RelayOrder


class Ended:
    """Grants and runs by id, handles by ref. Forgotten when it is stored: then the rows are gone. `all_of_it`: the
    vault is being locked. `cut` is called whenever something has ended, and never blocks."""

    def __init__(self, *, cut: Callable[[], None]) -> None:
        self._cut = cut
        # Changed name by name: each such step is one for all threads.
        self._names: set[str] = set()
        self.all_of_it = False

    def __bool__(self) -> bool:
        return self.all_of_it or bool(self._names)

    def add(self, names: Iterable[str]) -> None:
        """From now on."""
        self._names.update(names)
        self._cut()

    @contextmanager
    def everything(self) -> Iterator[None]:
        """A block in which nothing may be open."""
        self.all_of_it = True
        self._cut()
        try:
            yield
        finally:
            self.all_of_it = False

    def forget(self, names: Iterable[str]) -> None:
        """It is stored, or never was there."""
        self._names.difference_update(names)

    def grant(self, grant: Grant) -> bool:
        """Whether this grant has ended, or the run that it was given to."""
        return grant.id in self._names or grant.instance in self._names

    def handle(self, ref: str, requester: Requester) -> bool:
        """Whether this handle of this run was let go of, or the run has ended."""
        return bool(self._names) and (name_of(ref) in self._names or requester.instance in self._names)

    def covers(self, order: RelayOrder) -> bool:
        """Whether what is open for this order has to be cut."""
        return self.all_of_it or order.grant_id in self._names or self.handle(order.ref, order.requester)


def name_of(ref: str) -> str:
    """How a handle is noted: no ref is kept."""
    return ref_hash(ref).hex()
