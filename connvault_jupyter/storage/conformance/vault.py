"""What a store of the vault's description must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from ...services.vault_ports import HeldByOne
from ..stores import Stores
from .samples import record


class VaultStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_when_nothing_was_stored_there_is_none(self, stores: Stores) -> None:
        """A fresh store is not set up."""
        assert stores.vault.load() is None

    def test_what_was_created_is_loaded(self, stores: Stores) -> None:
        """All of it, to the microsecond."""
        assert stores.vault.create(record())
        assert stores.vault.load() == record()

    def test_a_vault_from_before_key_slots_is_stored_as_one(self, stores: Stores) -> None:
        """Until its first unlock nothing about it changes."""
        before = record(slots=(), slots_mac=b"", before_slots=HeldByOne("passphrase", {"salt": "c2FsdA=="}))
        stores.vault.create(before)
        assert stores.vault.load() == before

    def test_when_there_is_one_already_creating_changes_nothing(self, stores: Stores) -> None:
        """Who sets up second must learn that the first one's key counts."""
        stores.vault.create(record("v1"))
        assert not stores.vault.create(record("v2"))
        assert stores.vault.load() == record("v1")

    def test_when_replaced_the_new_one_is_loaded(self, stores: Stores) -> None:
        """A changed passphrase replaces the description."""
        stores.vault.create(record("v1"))
        stores.vault.replace(record("v2"))
        assert stores.vault.load() == record("v2")

    def test_the_check_value_is_had_alone(self, stores: Stores) -> None:
        """It is asked for at every change: whether the keys are still those of the vault."""
        assert stores.vault.check() is None
        stores.vault.create(record())
        assert stores.vault.check() == record().check
        stores.vault.replace(record(generation=4, check=b"another"))
        assert stores.vault.check() == b"another"
