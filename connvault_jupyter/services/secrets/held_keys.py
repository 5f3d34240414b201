"""The keys of the unlocked vault, as long as they belong to the vault as it is stored. Nothing is derived here.

Another server on the vault can change its keys at any time. From then on, this returns none, so nothing is sealed,
MAC-ed or judged with outdated keys. Inside a transaction the answer is valid throughout.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..ports import Transactions
from ..vault_ports import Keys, RecordKeys, VaultStore
from .generations import Unlocked


class HeldKeys:
    """Used with the broker's lock held. Reads the store only if something has changed."""

    def __init__(self, *, store: VaultStore, transactions: Transactions) -> None:
        self._store = store
        self._transactions = transactions
        self._held: Unlocked | None = None
        self._version: object = None
        self.superseded = False
        """Whether the keys were dropped because another server changed them."""

    @property
    def now(self) -> Unlocked | None:
        """`None` while the vault is locked or absent. Raises: StorageError."""
        if self._held is None:
            return None
        version = self._transactions.version()
        if version != self._version:
            if self._store.check() != self._held.check:
                self.let_go()
                self.superseded = True
                return None
            self._version = version
        return self._held

    @property
    def keys(self) -> Keys | None:
        """`now`, without the keys of earlier generations."""
        found = self.now
        return None if found is None else found.keys

    def every(self) -> Sequence[RecordKeys]:
        """The present keys, then those kept from earlier generations, newest first; none while the vault is locked or
        absent. Raises: StorageError."""
        found = self.now
        if found is None:
            return ()
        return (found.keys, *(found.older[one] for one in sorted(found.older, reverse=True)))

    @property
    def before_the_look(self) -> Unlocked | None:
        """As `now`, without reading the store: for locking, which must not wait, and for callers that have already
        checked in this transaction."""
        return self._held

    def hold(self, unlocked: Unlocked) -> None:
        """Holds these keys from now on."""
        self._held, self._version, self.superseded = unlocked, None, False

    def let_go(self) -> None:
        """Drops the keys."""
        self._held = self._version = None
        self.superseded = False
