"""What a store of connections must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from datetime import timedelta, timezone

from ...contracts.connections import WorkspaceRef
from ...errors import ConnectionNotFound, NameTaken, RevisionConflict
from ...services.ports import StoredConnection
from ..stores import Stores
from .samples import NOON, connection, grant, handle, in_workspace, later, outcome, refusing, secret, stored


class ConnectionStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_when_empty_nothing_is_found(self, stores: Stores) -> None:
        """Absence is an answer, not an error."""
        assert stores.connections.get("c1") is None
        assert stores.connections.by_name("warehouse") is None
        assert stores.connections.all() == []
        assert stores.connections.last_used() == {}
        assert stores.connections.tests() == {}

    def test_what_was_added_is_found_by_id_and_name(self, stores: Stores) -> None:
        """Every field comes back, each with its type."""
        stores.connections.add(connection(), b"mac")
        assert stores.connections.get("c1") == stored(mac=b"mac")
        assert stores.connections.by_name(connection().name) == stored(mac=b"mac")
        assert stores.connections.all() == [stored(mac=b"mac")]

    def test_without_a_mac_it_has_none(self, stores: Stores) -> None:
        """None differs from an empty one; an update adds or removes it."""
        stores.connections.add(connection())
        assert stores.connections.get("c1") == stored(mac=None)
        for revision, mac in ((2, b"mac"), (3, b""), (4, None)):
            stores.connections.update(connection(revision=revision), mac, expected_revision=revision - 1)
            assert stores.connections.get("c1") == stored(revision=revision, mac=mac)

    def test_an_instant_of_another_zone_stays_the_same_instant(self, stores: Stores) -> None:
        """Instants are compared, not their writing."""
        tokyo = NOON.astimezone(timezone(timedelta(hours=9)))
        stores.connections.add(connection(created_at=tokyo))
        found = stores.connections.get("c1")
        assert found is not None
        assert found.connection.created_at == NOON

    def test_a_name_in_another_case_is_taken(self, stores: Stores) -> None:
        """Names that people can't tell apart must not coexist."""
        stores.connections.add(connection("c1", name="Warehouse"))
        with refusing(NameTaken):
            stores.connections.add(connection("c2", name="wAREHOUSE"))
        assert stores.connections.get("c2") is None

    def test_a_name_in_another_case_is_not_found(self, stores: Stores) -> None:
        """Code gets what it names, exactly."""
        stores.connections.add(connection(name="Warehouse"))
        assert stores.connections.by_name("warehouse") is None

    def test_a_name_is_unique_within_its_place(self, stores: Stores) -> None:
        """The person's own are one place, each workspace is another one; roots differ by their case."""
        places = [None, *(WorkspaceRef(root=root, id="b1") for root in ("/p", "/P", "/p/q"))]
        for number, ref in enumerate(places):
            stores.connections.add(connection(f"c{number}", name="lake", **in_workspace(ref)), b"mac")
        again = WorkspaceRef(root="/p", id="b2")
        with refusing(NameTaken):
            stores.connections.add(connection("c9", name="LAKE", **in_workspace(again)))
        stores.connections.add(connection("c9", name="other", **in_workspace(again)))
        with refusing(NameTaken):
            changed = connection("c9", name="lake", revision=2, **in_workspace(again))
            stores.connections.update(changed, expected_revision=1)
        assert {
            one.connection.place for one in stores.connections.all() if one.connection.name == "lake"
        } == {
            "",
            "/p",
            "/P",
            "/p/q",
        }
        found = stores.connections.get("c1")
        assert found is not None
        assert found.connection.workspace == places[1]

    def test_a_connection_of_a_workspace_is_not_found_by_name(self, stores: Stores) -> None:
        """Whoever asks by name alone means the person's own."""
        ref = WorkspaceRef(root="/p", id="b1")
        stores.connections.add(connection(name="lake", **in_workspace(ref)))
        assert stores.connections.by_name("lake") is None
        stores.connections.add(connection("c2", name="lake"))
        found = stores.connections.by_name("lake")
        assert found is not None
        assert found.connection.id == "c2"

    def test_all_are_listed_by_name(self, stores: Stores) -> None:
        """Without regard to case, whatever the order in which they came."""
        for identity, name in (("c1", "delta"), ("c2", "Alpha"), ("c3", "beta")):
            stores.connections.add(connection(identity, name=name))
        assert [found.connection.name for found in stores.connections.all()] == ["Alpha", "beta", "delta"]

    def test_an_update_with_the_expected_revision_replaces(self, stores: Stores) -> None:
        """The new contract is what is found from then on."""
        stores.connections.add(connection())
        changed = connection(revision=2, name="lake", status="ready", status_reason=None, fields={})
        stores.connections.update(changed, expected_revision=1)
        assert stores.connections.get("c1") == StoredConnection(changed)
        assert stores.connections.by_name("lake") == StoredConnection(changed)

    def test_an_update_may_change_the_case_of_its_own_name(self, stores: Stores) -> None:
        """Its own name does not count as taken."""
        stores.connections.add(connection(name="warehouse"))
        stores.connections.update(connection(name="Warehouse", revision=2), expected_revision=1)
        assert stores.connections.by_name("Warehouse") is not None

    def test_an_update_with_another_revision_is_refused(self, stores: Stores) -> None:
        """Neither an old revision nor one too large to store changes anything."""
        stores.connections.add(connection(revision=3))
        for expected in (2, 4, 2**70):
            with refusing(RevisionConflict):
                stores.connections.update(connection(revision=4, fields={}), expected_revision=expected)
        assert stores.connections.get("c1") == stored(revision=3)

    def test_an_update_to_a_taken_name_is_refused(self, stores: Stores) -> None:
        """The rule holds for changes as for new ones."""
        stores.connections.add(connection("c1", name="one"))
        stores.connections.add(connection("c2", name="two"))
        with refusing(NameTaken):
            stores.connections.update(connection("c2", name="ONE", revision=2), expected_revision=1)
        assert stores.connections.get("c2") == stored("c2", name="two")

    def test_an_update_of_a_missing_one_is_refused(self, stores: Stores) -> None:
        """An update never creates a connection."""
        with refusing(ConnectionNotFound):
            stores.connections.update(connection(), expected_revision=1)
        assert stores.connections.all() == []

    def test_removing_needs_the_revision_that_was_seen(self, stores: Stores) -> None:
        """What has since been changed is not removed; what is missing is reported as missing."""
        stores.connections.add(connection(revision=2))
        with refusing(RevisionConflict):
            stores.connections.remove("c1", expected_revision=1)
        assert stores.connections.get("c1") is not None
        with refusing(ConnectionNotFound):
            stores.connections.remove("c2", expected_revision=1)

    def test_a_removed_connection_takes_everything_along(self, stores: Stores) -> None:
        """A new one of the same id starts without secrets, grants, handles, test and use; others keep theirs."""
        for identity in ("c1", "c2"):
            stores.connections.add(connection(identity))
            stores.connections.touch(identity, NOON)
            stores.connections.save_test(identity, outcome())
            stores.secrets.put(secret(identity, ref=f"r-{identity}"))
            stores.grants.add(grant(f"g-{identity}", connection_id=identity), b"mac")
            stores.handles.add(handle(identity.encode(), connection_id=identity, grant_id=f"g-{identity}"))
            stores.handles.add(handle(b"reveal" + identity.encode(), connection_id=identity, grant_id=None))
        stores.connections.remove("c1", expected_revision=1)
        stores.connections.add(connection("c1"))
        assert [kept.connection_id for kept in stores.secrets.all()] == ["c2"]
        assert [kept.grant.connection_id for kept in stores.grants.all()] == ["c2"]
        assert stores.handles.get(handle(b"c1").ref_hash) is None
        assert stores.handles.get(handle(b"revealc1").ref_hash) is None
        assert stores.handles.get(handle(b"c2").ref_hash) is not None
        assert set(stores.connections.last_used()) == {"c2"}
        assert set(stores.connections.tests()) == {"c2"}

    def test_the_last_use_is_the_last_one(self, stores: Stores) -> None:
        """It survives an update, and changes no revision."""
        stores.connections.add(connection())
        stores.connections.touch("c1", NOON)
        stores.connections.touch("c1", later(5))
        stores.connections.update(connection(revision=2), expected_revision=1)
        assert stores.connections.last_used() == {"c1": later(5)}

    def test_the_last_test_is_the_last_one(self, stores: Stores) -> None:
        """It survives an update."""
        stores.connections.add(connection())
        failed = outcome(ok=False, code="upstream_timeout", detail="No answer.", server="PostgreSQL 15")
        stores.connections.save_test("c1", outcome())
        stores.connections.save_test("c1", failed)
        stores.connections.update(connection(revision=2), expected_revision=1)
        assert stores.connections.tests() == {"c1": failed}

    def test_use_and_test_of_a_removed_one_are_dropped(self, stores: Stores) -> None:
        """A test may end after its connection was removed."""
        stores.connections.touch("gone", NOON)
        stores.connections.save_test("gone", outcome())
        assert stores.connections.last_used() == {}
        assert stores.connections.tests() == {}
