"""What a store of audit events must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from ...contracts.audit import AuditFilter
from ...errors import StorageError
from ..stores import Stores
from .samples import NOON, append, checkpoint_at, event, later, link, refusing


class AuditStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_when_empty_the_head_is_nothing(self, stores: Stores) -> None:
        """The first row follows 32 zero bytes."""
        assert stores.audit.head() == (0, bytes(32))
        assert stores.audit.page(AuditFilter()) == []
        assert stores.audit.chain(0, 10) == []
        assert stores.audit.checkpoint() is None
        assert stores.audit.size_bytes() == 0

    def test_the_head_is_the_last_row(self, stores: Stores) -> None:
        """What the next row must follow."""
        append(stores)
        last = append(stores)
        assert stores.audit.head() == (2, last.digest)

    def test_the_chain_is_what_was_appended(self, stores: Stores) -> None:
        """Oldest first, byte for byte, page by page, with and without MAC."""
        keyless = link(event(1, reason_claim="caf\u00e9"), bytes(32), mac=None)
        stores.audit.append(keyless)
        made = [keyless, append(stores, connection_id="c1", connection="lake"), append(stores)]
        assert stores.audit.chain(0, 2) == made[:2]
        assert stores.audit.chain(2, 2) == made[2:]
        assert stores.audit.chain(3, 2) == []

    def test_a_sequence_is_given_once(self, stores: Stores) -> None:
        """Two writers on one head: the second one fails, and the first one's row stays."""
        first = append(stores)
        with refusing(StorageError):
            stores.audit.append(link(event(1, type="vault:locked"), bytes(32)))
        assert stores.audit.chain(0, 10) == [first]

    def test_a_row_of_a_failed_block_is_not_there(self, stores: Stores) -> None:
        """And the chain continues from the previous event."""
        first = append(stores)
        with refusing(RuntimeError), stores.transactions.transaction():
            append(stores)
            raise RuntimeError
        assert stores.audit.head() == (1, first.digest)

    def test_a_page_is_newest_first_and_goes_on(self, stores: Stores) -> None:
        """`before` is the last sequence of the page before."""
        made = [append(stores).event for _ in range(5)]
        assert stores.audit.page(AuditFilter(limit=2)) == [made[4], made[3]]
        assert stores.audit.page(AuditFilter(limit=2, before=made[3].sequence)) == [made[2], made[1]]
        assert stores.audit.page(AuditFilter(limit=2, before=1)) == []
        assert len(stores.audit.page(AuditFilter(before=2**70))) == 5

    def test_a_page_holds_what_was_asked_for(self, stores: Stores) -> None:
        """Each filter alone, and all together."""
        rows = [
            append(stores, connection_id=identity, connection=name, requester_key=key, type=kind).event
            for identity, name in (("c1", "lake"), ("c2", "warehouse"))
            for key in ("/a.ipynb", "/b.ipynb")
            for kind in ("access:used", "access:denied")
        ]
        rows.append(append(stores, type="vault:locked").event)
        rows.reverse()
        page = stores.audit.page
        assert page(AuditFilter(connection_id="c1")) == [row for row in rows if row.connection_id == "c1"]
        assert page(AuditFilter(type="access:used")) == [row for row in rows if row.type == "access:used"]
        assert page(AuditFilter(), requester_key="/a.ipynb") == [
            row for row in rows if row.requester_key == "/a.ipynb"
        ]
        assert page(AuditFilter(), connection="lake") == [row for row in rows if row.connection == "lake"]
        assert (
            page(AuditFilter(limit=3), without=("access:denied", "vault:locked"))
            == [row for row in rows if row.type == "access:used"][:3]
        )
        all_of_them = AuditFilter(connection_id="c2", type="access:denied")
        assert [
            (row.connection, row.requester_key, row.type)
            for row in page(all_of_them, requester_key="/b.ipynb", connection="warehouse")
        ] == [("warehouse", "/b.ipynb", "access:denied")]

    def test_a_span_reaches_from_the_first_to_the_last_event_of_a_time(self, stores: Stores) -> None:
        """Both ends included, an open end is the log's own, and a clock that was put back takes nothing away."""
        assert stores.audit.span(None, None) is None
        for minutes in (0, 10, 5, 20):
            append(stores, at=NOON + timedelta(minutes=minutes))
        span = stores.audit.span
        assert span(None, None) == (1, 4)
        assert span(NOON + timedelta(minutes=10), None) == (2, 4)
        assert span(None, NOON) == (1, 1)
        assert span(NOON + timedelta(minutes=1), NOON + timedelta(minutes=5)) == (3, 3)
        assert span(NOON + timedelta(minutes=5), NOON + timedelta(minutes=10)) == (2, 3)
        assert span(NOON + timedelta(hours=1), None) is None

    def test_pruning_drops_the_oldest_and_keeps_a_checkpoint(self, stores: Stores) -> None:
        """The chain verifies from it on."""
        made = [append(stores) for _ in range(5)]
        assert stores.audit.prune(checkpoint_at(made[2])) == 3
        assert stores.audit.checkpoint() == checkpoint_at(made[2])
        assert stores.audit.chain(0, 10) == made[3:]
        assert stores.audit.prune(checkpoint_at(made[3])) == 1
        assert stores.audit.checkpoint() == checkpoint_at(made[3])

    def test_a_replaced_checkpoint_is_of_the_same_row(self, stores: Stores) -> None:
        """It gets a new MAC when the keys change; there is none for another event."""
        made = [append(stores) for _ in range(3)]
        stores.audit.prune(checkpoint_at(made[1]))
        anew = replace(checkpoint_at(made[1]), mac=b"anew")
        stores.audit.replace_checkpoint(anew)
        stores.audit.replace_checkpoint(replace(checkpoint_at(made[2]), mac=b"other"))
        assert stores.audit.checkpoint() == anew
        assert stores.audit.chain(0, 10) == made[2:]

    def test_after_pruning_everything_the_chain_goes_on(self, stores: Stores) -> None:
        """From the checkpoint, with the next sequence."""
        last = append(stores)
        stores.audit.prune(checkpoint_at(last))
        assert stores.audit.head() == (1, last.digest)
        assert append(stores).previous == last.digest
        assert stores.audit.head()[0] == 2

    def test_pruning_up_to_a_missing_row_is_refused(self, stores: Stores) -> None:
        """A checkpoint for a missing event would hide what was there."""
        last = append(stores)
        stores.audit.prune(checkpoint_at(last))
        for missing in (last, link(event(9), last.digest)):
            with refusing(StorageError):
                stores.audit.prune(checkpoint_at(missing))
        assert stores.audit.checkpoint() == checkpoint_at(last)

    def test_the_size_grows_with_rows_and_shrinks_with_pruning(self, stores: Stores) -> None:
        """At least the bodies count."""
        made = [append(stores, reason_claim="x" * 200) for _ in range(10)]
        full = stores.audit.size_bytes()
        assert full >= sum(len(one.body) for one in made)
        stores.audit.prune(checkpoint_at(made[4]))
        assert stores.audit.size_bytes() < full
        stores.audit.prune(checkpoint_at(made[9]))
        assert stores.audit.size_bytes() == 0
        append(stores)
        assert 0 < stores.audit.size_bytes() < full

    def test_uses_are_counted_by_utc_day(self, stores: Stores) -> None:
        """Of one connection, since an instant, uses only; a day ends at midnight UTC."""
        midnight = NOON.replace(hour=0, minute=0, second=0, microsecond=0)
        for at, kind in (
            (midnight - timedelta(days=3), "access:used"),
            (midnight - timedelta(microseconds=1), "access:checked"),
            (midnight, "access:used"),
            (NOON, "access:revealed"),
            (NOON, "access:denied"),
            (later(1), "connection:changed"),
        ):
            append(stores, at=at, type=kind, connection_id="c1")
        append(stores, at=NOON, connection_id="c2")
        assert stores.audit.uses_by_day("c1", midnight - timedelta(days=2)) == {
            "2026-11-23": 1,
            "2026-11-24": 2,
        }
        assert stores.audit.uses_by_day("c3", midnight) == {}
