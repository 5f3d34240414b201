"""What stores of grants and of handles must do."""
# ruff: noqa: S101 - a suite asserts

from __future__ import annotations

from ...errors import StorageError
from ...services.ports import EndedHandle, StoredGrant
from ..stores import Stores
from .samples import NOON, connection, grant, handle, later, refusing


class GrantStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_what_was_added_is_found_unused(self, stores: Stores) -> None:
        """With its MAC, as it was given: the MAC covers every part."""
        stores.connections.add(connection())
        wanted = grant(
            instance="kernel-1:1",
            expires_at=later(60),
            decision="session",
            shown_digest="fedcba9876543210" * 4,
            agent_hash="1." + "0123456789abcdef" * 4,
            agent_sealed="1.c2VhbGVk",
        )
        stores.grants.add(wanted, b"\x00mac")
        assert stores.grants.get("g1") == StoredGrant(grant=wanted, mac=b"\x00mac")
        assert stores.grants.get("g2") is None

    def test_all_are_listed_oldest_first(self, stores: Stores) -> None:
        """Of one connection, or of all."""
        for identity in ("c1", "c2"):
            stores.connections.add(connection(identity))
        stores.grants.add(grant("new", created_at=later(2)), b"")
        stores.grants.add(grant("old", created_at=later(1)), b"")
        stores.grants.add(grant("other", connection_id="c2"), b"")
        assert [stored.grant.id for stored in stores.grants.all()] == ["other", "old", "new"]
        assert [stored.grant.id for stored in stores.grants.all("c1")] == ["old", "new"]
        assert stores.grants.all("c3") == []

    def test_matching_are_those_of_connection_and_requester(self, stores: Stores) -> None:
        """Whatever their mode, agent, instance and end: what counts is decided elsewhere."""
        for identity in ("c1", "c2"):
            stores.connections.add(connection(identity))
        stores.grants.add(grant("g1"), b"")
        stores.grants.add(
            grant("g2", agent_sealed="1.c2VhbGVk", decision="deny_always", created_at=later(1)), b""
        )
        stores.grants.add(grant("g3", requester_key="/srv/other.ipynb"), b"")
        stores.grants.add(grant("g4", connection_id="c2"), b"")
        found = stores.grants.matching("c1", "/srv/first_steps.ipynb")
        assert [stored.grant.id for stored in found] == ["g1", "g2"]

    def test_uses_are_counted(self, stores: Stores) -> None:
        """Apart from the grant, which stays as it was; of a removed one nothing is counted."""
        stores.connections.add(connection())
        stores.grants.add(grant(), b"mac")
        stores.grants.note_use("g1", NOON)
        stores.grants.note_use("g1", later(1))
        stores.grants.note_use("gone", later(2))
        assert stores.grants.get("g1") == StoredGrant(
            grant=grant(), mac=b"mac", uses=2, last_used_at=later(1)
        )

    def test_one_is_replaced_in_its_place(self, stores: Stores) -> None:
        """Its handles and counts stay. One of another connection, requester or run is not its place."""
        stores.connections.add(connection())
        stores.grants.add(grant(), b"mac")
        stores.handles.add(handle())
        stores.grants.note_use("g1", NOON)
        anew = grant(shown_digest="fedcba9876543210" * 4)
        for other in (
            {"connection_id": "c2"},
            {"requester_key": "/srv/other.ipynb"},
            {"instance": "kernel:1"},
        ):
            assert not stores.grants.replace(grant(**other), b"")
        assert not stores.grants.replace(grant("g2"), b"")
        assert stores.grants.replace(anew, b"other mac")
        assert stores.grants.get("g1") == StoredGrant(grant=anew, mac=b"other mac", uses=1, last_used_at=NOON)
        assert stores.handles.get(handle().ref_hash) == handle()

    def test_a_removed_grant_takes_its_handles_along(self, stores: Stores) -> None:
        """Revoking bites at the next use of any of them."""
        stores.connections.add(connection())
        stores.grants.add(grant("g1"), b"")
        stores.grants.add(grant("g2"), b"")
        stores.handles.add(handle(b"a"))
        stores.handles.add(handle(b"b", grant_id="g2"))
        assert stores.grants.remove("g1")
        assert not stores.grants.remove("g1")
        assert stores.handles.get(handle(b"a").ref_hash) is None
        assert stores.handles.get(handle(b"b").ref_hash) is not None

    def test_without_its_connection_it_is_refused(self, stores: Stores) -> None:
        """A permission needs a connection."""
        with refusing(StorageError):
            stores.grants.add(grant(connection_id="gone"), b"")


class HandleStoreSuite:
    """Subclass it with a fixture `stores`."""

    def test_what_was_added_is_found(self, stores: Stores) -> None:
        """With and without grant, end and claim."""
        stores.connections.add(connection())
        stores.grants.add(grant(), b"")
        bare = handle(
            b"bare",
            grant_id=None,
            expires_at=None,
            mode="reveal",
            agent_hash="1." + "0123456789abcdef" * 4,
            agent_sealed="1.c2VhbGVk",
        )
        stores.handles.add(handle())
        stores.handles.add(bare)
        assert stores.handles.get(handle().ref_hash) == handle()
        assert stores.handles.get(bare.ref_hash) == bare
        assert stores.handles.get(bytes(32)) is None

    def test_removing_tells_whether_there_was_one(self, stores: Stores) -> None:
        """Removing twice is not an error."""
        stores.connections.add(connection())
        stores.handles.add(handle(grant_id=None))
        assert stores.handles.remove(handle().ref_hash)
        assert not stores.handles.remove(handle().ref_hash)
        assert stores.handles.get(handle().ref_hash) is None

    def test_why_a_handle_has_ended_is_kept(self, stores: Stores) -> None:
        """By whatever it was removed; nothing is kept of one that is there, or never was."""
        for identity in ("c1", "c2"):
            stores.connections.add(connection(identity))
        for identity in ("taken_back", "over"):
            stores.grants.add(grant(identity), b"")
        made = {
            "released": handle(b"released", grant_id=None),
            "evicted": handle(b"evicted", grant_id=None),
            "revoked": handle(b"revoked", grant_id="taken_back"),
            "expired": handle(b"expired", grant_id="over"),
            "kernel_gone": handle(b"gone", grant_id=None, requester_instance="kernel-2:2"),
            "deleted": handle(b"deleted", grant_id=None, connection_id="c2"),
        }
        for one in made.values():
            stores.handles.add(one)
        assert all(stores.handles.ended(one.ref_hash) is None for one in made.values())
        stores.handles.remove(made["released"].ref_hash)
        stores.handles.remove(made["evicted"].ref_hash, "evicted")
        stores.grants.remove("taken_back")
        stores.grants.remove("over", "expired")
        stores.handles.remove_instance("kernel-2:2")
        stores.connections.remove("c2", expected_revision=1)
        for why, one in made.items():
            assert stores.handles.ended(one.ref_hash) == EndedHandle(one.requester_instance, why)  # type: ignore[arg-type]
        stores.handles.remove(handle(b"nobody's").ref_hash)
        assert stores.handles.ended(handle(b"nobody's").ref_hash) is None

    def test_those_of_a_run_and_connection_are_listed_oldest_first(self, stores: Stores) -> None:
        """Other runs' and other connections' are not among them."""
        for identity in ("c1", "c2"):
            stores.connections.add(connection(identity))
        made = {
            name: handle(name, grant_id=None, created_at=later(age))
            for name, age in ((b"old", 0), (b"new", 2), (b"middle", 1))
        }
        others = [
            handle(b"run", grant_id=None, requester_instance="kernel-2:2"),
            handle(b"connection", grant_id=None, connection_id="c2"),
        ]
        for one in (*made.values(), *others):
            stores.handles.add(one)
        assert stores.handles.of("kernel-1:1000", "c1") == [made[b"old"], made[b"middle"], made[b"new"]]
        assert stores.handles.of("kernel-3:3", "c1") == []

    def test_instances_are_those_of_handles_and_bound_grants(self, stores: Stores) -> None:
        """Supervision must know which runs have something to end."""
        stores.connections.add(connection())
        stores.grants.add(grant("g1", instance="kernel-2:2", decision="session"), b"")
        stores.grants.add(grant("g2"), b"")
        stores.handles.add(handle(b"a", grant_id=None))
        stores.handles.add(handle(b"b", grant_id="g2"))
        assert stores.handles.instances() == {"kernel-1:1000", "kernel-2:2"}

    def test_an_ended_run_loses_its_handles_and_bound_grants(self, stores: Stores) -> None:
        """What is meant to last, and what others hold, stays."""
        stores.connections.add(connection())
        stores.grants.add(grant("bound", instance="kernel-1:1000", decision="session"), b"")
        stores.grants.add(grant("lasting"), b"")
        stores.handles.add(handle(b"a", grant_id="bound"))
        stores.handles.add(handle(b"b", grant_id="lasting"))
        stores.handles.add(handle(b"c", grant_id="lasting", requester_instance="kernel-2:2"))
        assert stores.handles.remove_instance("kernel-1:1000") == 3
        assert stores.handles.remove_instance("kernel-1:1000") == 0
        assert [stored.grant.id for stored in stores.grants.all()] == ["lasting"]
        assert stores.handles.instances() == {"kernel-2:2"}

    def test_without_grant_or_connection_it_is_refused(self, stores: Stores) -> None:
        """A grant may be revoked just before."""
        stores.connections.add(connection())
        for orphan in (handle(grant_id="gone"), handle(grant_id=None, connection_id="gone")):
            with refusing(StorageError):
                stores.handles.add(orphan)
