"""What the write lock over all stores must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from ...errors import NameTaken, StorageError
from ..stores import Stores
from .samples import NOON, append, connection, grant, handle, record, refusing, secret, stored


class Interrupted(Exception):
    """Stands for any exception of a caller."""


class TransactionsSuite:
    """Subclass it with a fixture `stores`."""

    def test_what_was_done_in_a_block_is_there_after_it(self, stores: Stores) -> None:
        """The ordinary case, for each kind of block."""
        with stores.transactions.transaction():
            stores.connections.add(connection("c1"))
        with stores.transactions.transaction(durable=False):
            stores.connections.add(connection("c2"))
        with stores.transactions.escape():
            stores.connections.add(connection("c3"))
        with stores.transactions.erasing():
            stores.connections.add(connection("c4"))
        assert [found.connection.id for found in stores.connections.all()] == ["c1", "c2", "c3", "c4"]

    def test_when_a_block_raises_nothing_of_it_is_there(self, stores: Stores) -> None:
        """In all kinds of blocks, and the exception comes through as it is."""
        for block in (
            stores.transactions.transaction(),
            stores.transactions.transaction(durable=False),
            stores.transactions.escape(),
            stores.transactions.erasing(),
        ):
            with refusing(Interrupted), block:
                stores.connections.add(connection())
                raise Interrupted
        assert stores.connections.all() == []

    def test_a_block_sees_its_own_changes(self, stores: Stores) -> None:
        """A rule may read what it has just written."""
        with stores.transactions.transaction():
            stores.connections.add(connection())
            assert stores.connections.get("c1") == stored()

    def test_a_block_inside_joins_the_outer_one(self, stores: Stores) -> None:
        """What the inner one did is undone with the outer one."""
        with refusing(Interrupted), stores.transactions.transaction():
            with stores.transactions.transaction(durable=False):
                stores.connections.add(connection())
            with stores.transactions.escape():
                stores.connections.touch("c1", connection().created_at)
            raise Interrupted
        assert stores.connections.get("c1") is None

    def test_when_a_block_inside_failed_the_outer_one_fails_too(self, stores: Stores) -> None:
        """Half of the inner one might be there, so nothing is stored although somebody caught the exception."""
        with refusing(StorageError), stores.transactions.transaction():
            _fail_inside(stores)
        assert stores.connections.get("c1") is None

    def test_after_a_failed_block_the_next_one_works(self, stores: Stores) -> None:
        """A failure leaves nothing behind."""
        stores.connections.add(connection("c1"))
        with refusing(NameTaken), stores.transactions.transaction():
            stores.connections.add(connection("c2", name=connection("c1").name))
        with stores.transactions.transaction():
            stores.connections.add(connection("c2"))
        assert len(stores.connections.all()) == 2

    def test_the_version_stays_while_nothing_changes(self, stores: Stores) -> None:
        """The record and the counts of use are not covered."""
        stores.connections.add(connection())
        stores.grants.add(grant(), b"mac")
        before = stores.transactions.version()
        stores.grants.note_use("g1", NOON)
        stores.connections.touch("c1", NOON)
        append(stores)
        assert stores.transactions.version() == before

    def test_the_version_changes_with_each_change(self, stores: Stores) -> None:
        """Whatever a use of a secret is judged by."""
        stores.connections.add(connection())
        seen = [stores.transactions.version()]

        def changed() -> bool:
            seen.append(stores.transactions.version())
            return seen[-1] != seen[-2]

        stores.grants.add(grant(), b"mac")
        assert changed()
        stores.handles.add(handle(b"a"))
        assert changed()
        stores.secrets.put(secret())
        assert changed()
        stores.handles.remove(handle(b"a").ref_hash)
        assert changed()
        stores.grants.remove("g1")
        assert changed()
        stores.secrets.remove("c1", "password")
        assert changed()
        stores.connections.update(connection(revision=2), expected_revision=1)
        assert changed()
        stores.vault.create(record())
        assert changed()
        stores.vault.replace(record(generation=4))
        assert changed()
        with stores.transactions.transaction():
            stores.vault.replace(record(generation=5))
            assert changed()

    def test_the_version_of_a_block_that_failed_is_not_taken_for_another(self, stores: Stores) -> None:
        """What was read in it was never true."""
        stores.vault.create(record())
        with refusing(Interrupted), stores.transactions.transaction():
            stores.vault.replace(record(generation=4))
            inside = stores.transactions.version()
            raise Interrupted
        assert stores.transactions.version() != inside


def _fail_inside(stores: Stores) -> None:
    with refusing(Interrupted), stores.transactions.transaction():
        stores.connections.add(connection())
        raise Interrupted
