"""Which stored grants count, and how they end. Rows are edited as somebody with an SQLite shell would."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from connvault_jupyter.contracts.access import (
    AccessResponse,
    DecisionKind,
    Grant,
    GrantFilter,
    GrantRef,
    HandleUse,
    RevokeOwn,
)
from connvault_jupyter.contracts.connections import UpdateConnection
from connvault_jupyter.errors import AccessDenied, ConnectionNotReady, GrantNotFound, HandleInvalid
from connvault_jupyter.services.identifiers import ref_hash
from tests.support.services.service_world import POSTGRES, World, notebook, unasked
from tests.support.services.stand_ins import NOON


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


def edit(world: World, **changes: object) -> None:
    """Edits the one grant, and leaves its MAC."""
    ((grant_id, stored),) = world.storage.tables.grants.items()
    world.storage.tables.grants[grant_id] = replace(stored, grant=stored.grant.model_copy(update=changes))


def reason_of(world: World, asked: AccessResponse) -> str:
    with pytest.raises(HandleInvalid) as refused:
        world.deliver(notebook(), asked.ref)
    return str(refused.value.details["reason"])


_EDITS: dict[str, object] = {
    "requester_kind": "script",
    "requester_key": "notebook:/home/ada/other.ipynb",
    "requester_label": "other",
    "instance": "kernel:other",
    "agent": "helper",
    "agent_hash": "1." + "0" * 64,
    "agent_sealed": "1.c2VhbGVk",
    "shown_digest": "0" * 64,
    "mode": "brokered",
    "decision": "always",
    "destination_digest": "0" * 64,
    "created_at": NOON - timedelta(seconds=1),
    "expires_at": NOON + timedelta(days=1000),
    "decided_by": "mallory",
}


def test_the_edits_of_a_grant_are_of_all_its_fields() -> None:
    """A field that is added to the contract must be tried too."""
    assert _EDITS.keys() | {"id", "connection_id"} == Grant.model_fields.keys()


@pytest.mark.parametrize("field", _EDITS)
def test_an_edited_grant_does_not_count(world: World, field: str) -> None:
    """Not for a handle that is out, and not for a new one; the list says why."""
    asked = world.request(notebook(), world.answer("session"))
    edit(world, **{field: _EDITS[field]})
    assert reason_of(world, asked) == "revoked"
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))
    (view,) = world.consent.grants(GrantFilter()).grants
    assert (view.counts, view.reason_not) == (False, "forged")


def test_a_grant_copied_to_another_connection_does_not_count(world: World) -> None:
    """Re-aimed by its row: with the MAC of the one that it was given for."""
    world.request(notebook(), world.answer("session"))
    other = world.connection("payroll")
    edit(world, connection_id=other.id)
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"), name="payroll")


def test_a_grant_copied_under_another_id_does_not_count(world: World) -> None:
    """A revoked one can't be brought back under a new id."""
    world.request(notebook(), world.answer("session"))
    edit(world, id="another")
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))


def test_a_grant_made_without_the_key_does_not_count(world: World) -> None:
    """Empty, zeros, or the MAC of another vault."""
    asked = world.request(notebook(), world.answer("session"))
    ((grant_id, stored),) = world.storage.tables.grants.items()
    for mac in (b"", bytes(32), stored.mac[:-1], stored.mac + b"\0"):
        world.storage.tables.grants[grant_id] = replace(stored, mac=mac)
        assert reason_of(world, asked) == "revoked"


def test_an_edited_no_counts_all_the_same(world: World) -> None:
    """The safe direction needs no MAC."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"))
    ((grant_id, stored),) = world.storage.tables.grants.items()
    world.storage.tables.grants[grant_id] = replace(stored, mac=b"wrong")
    edit(world, destination_digest="0" * 64, mode="reveal", agent="x", expires_at=NOON - timedelta(days=1))
    with pytest.raises(AccessDenied) as refused:
        world.request(notebook(), unasked)
    assert refused.value.details == {"reason": "never"}


def test_when_the_rest_of_the_name_differs_a_no_does_not_count(world: World) -> None:
    """It is for this notebook and this connection only."""
    world.connection("other")
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"))
    world.request(notebook("other.ipynb"), world.answer("once"))
    world.request(notebook(), world.answer("once"), name="other")


def test_when_the_destination_changes_the_grants_are_void(world: World) -> None:
    """Handles, stored grants, and the row that says so; a no stays."""
    asked = world.request(notebook(), world.answer("always"))
    with pytest.raises(AccessDenied):
        world.request(notebook("never.ipynb"), world.answer("deny_always"))
    connection = world.connections.list().connections[0].connection
    world.connections.update(
        UpdateConnection.model_validate(
            {
                "id": connection.id,
                "revision": 1,
                "fields": {**POSTGRES, "host": "db2.example.org"},
                "secrets": {"password": {"value": "for the new host"}},
            }
        ),
        actor="ada",
    )
    assert reason_of(world, asked) == "changed"
    assert [grant.decision for grant in world.grants()] == ["deny_always"]
    assert world.recorded().count("grant:voided") == 1
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"))


def test_when_the_destination_was_edited_in_the_row_the_grant_does_not_count(world: World) -> None:
    """Same revision, another host: the document's MAC is wrong, and the grant is for another destination."""
    asked = world.request(notebook(), world.answer("session"))
    ((connection_id, stored),) = world.storage.tables.connections.items()
    edited = stored.connection.model_copy(
        update={"fields": {**stored.connection.fields, "host": "evil.example.org"}}
    )
    world.storage.tables.connections[connection_id] = replace(stored, connection=edited)
    with pytest.raises(ConnectionNotReady):
        world.deliver(notebook(), asked.ref)
    (view,) = world.consent.grants(GrantFilter()).grants
    assert view.reason_not == "destination_changed"


def test_when_a_default_is_written_out_the_destination_is_the_same(world: World) -> None:
    """A form may send what the schema says anyway."""
    connection = world.connection("plain", fields={key: POSTGRES[key] for key in POSTGRES if key != "port"})
    asked = world.request(notebook(), world.answer("session"), name="plain")
    world.connections.update(
        UpdateConnection(id=connection.id, revision=1, fields={**POSTGRES, "port": 5432}), actor="ada"
    )
    world.deliver(notebook(), asked.ref)


def test_when_revoked_the_next_use_fails(world: World) -> None:
    """And the record says by whom."""
    asked = world.request(notebook(), world.answer("session"))
    world.deliver(notebook(), asked.ref)
    (grant,) = world.grants()
    world.consent.revoke(GrantRef(id=grant.id), actor="ada")
    assert reason_of(world, asked) == "revoked"
    row, refused = world.record()[-2:]
    assert (row.type, row.decided_by, row.grant_id) == ("grant:revoked", "ada", grant.id)
    assert (refused.type, refused.code) == ("access:refused", "handle_invalid")
    with pytest.raises(GrantNotFound):
        world.consent.revoke(GrantRef(id=grant.id), actor="ada")


def test_when_revoked_in_one_server_the_other_refuses(world: World) -> None:
    """Two servers on one vault; nothing is remembered past the stores."""
    asked = world.request(notebook(), world.answer("session"))
    world.deliver(notebook(), asked.ref)
    other = World(storage=(world.storage, world.stores), unlocked=False, broker="1:1")
    other.consent.revoke(GrantRef(id=world.grants()[0].id), actor="ada")
    assert reason_of(world, asked) == "revoked"


def test_revoke_own_ends_all_of_the_requesters_grants_and_no_others(world: World) -> None:
    """Not another notebook's, not another connection's, and not a no."""
    world.connection("other")
    world.request(notebook(), world.answer("session"))
    world.request(notebook(), world.answer("always"), agent="helper")
    world.request(notebook(), world.answer("session"), name="other")
    world.request(notebook("b.ipynb"), world.answer("session"))
    assert world.access.revoke_own(notebook(), RevokeOwn(connection="warehouse")).released == 2
    assert len(world.grants()) == 2
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny_always"))
    assert world.access.revoke_own(notebook(), RevokeOwn(connection="warehouse")).released == 0
    assert "deny_always" in [grant.decision for grant in world.grants()]


@pytest.mark.parametrize("decision", ["for", "always"])
@pytest.mark.parametrize(
    ("path", "gone", "void"),
    [
        ("report.ipynb", "report.ipynb", True),
        ("a/report.ipynb", "a", True),
        ("a/report.ipynb", "report.ipynb", False),
        ("report.ipynb.ipynb", "report.ipynb", False),
    ],
)
def test_when_a_document_goes_its_lasting_grants_are_void(
    world: World, decision: str, path: str, gone: str, void: bool
) -> None:
    """Deleted, replaced, renamed, or below a folder that was; the same name later is another document."""
    world.request(notebook(path), world.answer(decision))  # type: ignore[arg-type]
    world.consent.documents_gone([gone])
    assert bool(world.grants()) is not void
    assert ("grant:voided" in world.recorded()) is void


def test_when_a_document_goes_a_no_and_the_running_session_stay(world: World) -> None:
    """A no can't be shaken off by saving the notebook anew."""
    with pytest.raises(AccessDenied):
        world.request(notebook(run=2), world.answer("deny_always"))
    world.connection("other")
    world.request(notebook(), world.answer("session"), name="other")
    world.consent.documents_gone(["report.ipynb"])
    assert sorted(grant.decision for grant in world.grants()) == ["deny_always", "session"]


def test_the_session_of_a_renamed_notebook_stays(world: World) -> None:
    """It is the same kernel; nobody is asked again."""
    asked = world.request(notebook(), world.answer("session"))
    world.runs.renamed[notebook().instance] = notebook("new.ipynb").model_copy(
        update={"instance": notebook().instance}
    )
    world.deliver(notebook(), asked.ref)
    world.request(notebook(), unasked)


def test_the_grant_of_a_notebooks_new_name_fits_an_old_channel(world: World) -> None:
    """Who a peer is was found out when it connected; its notebook has another name since."""
    new = notebook("new.ipynb").model_copy(update={"instance": notebook().instance})
    world.runs.renamed[notebook().instance] = new
    asked = world.request(notebook(), world.answer("always"))
    assert world.grants()[0].requester_key == new.key
    world.deliver(notebook(), asked.ref)


def test_a_grant_that_fits_by_the_notebooks_name_of_now_ends_with_that_name(world: World) -> None:
    """It fitted at the use before, and nothing that is stored has changed since."""
    second = notebook("second.ipynb").model_copy(update={"instance": notebook().instance})
    third = notebook("third.ipynb").model_copy(update={"instance": notebook().instance})
    world.runs.renamed[notebook().instance] = second
    asked = world.request(notebook(), world.answer("always"))
    world.deliver(notebook(), asked.ref)
    world.deliver(notebook(), asked.ref)
    world.runs.renamed[notebook().instance] = third
    assert reason_of(world, asked) == "revoked"


@pytest.mark.parametrize(("decision", "told"), [("once", True), ("session", False)])
def test_a_released_handle_is_told_to_the_page_if_its_permission_ends(
    world: World, decision: DecisionKind, told: bool
) -> None:
    """A page that heard of every release would ask anew all the time."""
    asked = world.request(notebook(), world.answer(decision))
    world.events.clear()
    world.access.release(notebook(), HandleUse(ref=asked.ref))
    assert ("grants:changed" in [event.event for event in world.events]) is told


def test_a_notebooks_lasting_grant_does_not_fit_another_kind_of_requester_of_its_key(world: World) -> None:
    """A key is a name within its kind."""
    world.request(notebook(), world.answer("always"))
    script = notebook(run=2).model_copy(update={"kind": "script"})
    with pytest.raises(AccessDenied):
        world.request(script, world.answer("deny"))


def test_a_lasting_grant_does_not_fit_a_requester_that_is_no_longer_durable(world: World) -> None:
    """Two sessions on one kernel: nobody knows which notebook it is."""
    world.request(notebook(), world.answer("always"))
    with pytest.raises(AccessDenied):
        world.request(notebook(run=2, durable=False), world.answer("deny"))


def test_what_a_run_was_given_ends_with_it(world: World) -> None:
    """Its handles, `once` and `session`; not what belongs to the notebook."""
    asked = world.request(notebook(), world.answer("session"))
    lasting = world.request(notebook(), world.answer("always"), agent="helper")
    world.consent.instance_ended(notebook().instance)
    assert [grant.decision for grant in world.grants()] == ["always"]
    for one in (asked, lasting):
        assert reason_of(world, one) == "kernel_gone"


def test_after_a_restart_what_was_given_to_dead_runs_ends(world: World) -> None:
    """Living ones go on with the same handle."""
    dead = world.request(notebook(), world.answer("session"))
    alive = world.request(notebook(run=2), world.answer("session"))
    restarted = World(storage=(world.storage, world.stores), unlocked=False, broker="2:2")
    restarted.keyring.items.update(world.keyring.items)
    restarted.secrets.open_at_start()
    restarted.consent.reconcile(lambda instance: instance == notebook(run=2).instance)
    assert reason_of(restarted, dead) == "kernel_gone"
    restarted.deliver(notebook(run=2), alive.ref)


def test_when_a_run_ended_unnoticed_the_list_says_so(world: World) -> None:
    """Until the grant is swept."""
    world.request(notebook(), world.answer("session"))
    world.runs.ended.add(notebook().instance)
    (view,) = world.consent.grants(GrantFilter()).grants
    assert (view.counts, view.reason_not) == (False, "ended")


def test_the_list_counts_uses(world: World) -> None:
    """Apart from what the MAC covers."""
    asked = world.request(notebook(), world.answer("session"))
    for _ in range(3):
        world.deliver(notebook(), asked.ref)
    world.check(notebook(), asked.ref)
    (view,) = world.consent.grants(GrantFilter()).grants
    assert (view.uses, view.last_used_at, view.counts) == (4, world.clock.now, True)


def test_when_a_handle_row_is_edited_the_grant_still_decides(world: World) -> None:
    """Handles have no MAC: aimed at another notebook's grant, one's own handle opens nothing."""
    mine = world.request(notebook(), world.answer("session"))
    others = world.request(notebook("other.ipynb"), world.answer("session"), agent="x")
    lasting = world.request(notebook("third.ipynb"), world.answer("always"))
    row = world.storage.tables.handles[ref_hash(mine.ref)]

    def aim(**changes: object) -> str:
        # Looked up anew: a rollback puts other tables in place.
        world.storage.tables.handles[row.ref_hash] = replace(row, **changes)  # type: ignore[arg-type]
        return reason_of(world, mine)

    for target in (others, lasting):
        found = world.storage.tables.handles[ref_hash(target.ref)]
        assert aim(grant_id=found.grant_id) == "revoked"
    assert aim(mode="brokered") == "revoked"
    assert aim(grant_id=None) == "revoked"
    twin = world.connection("twin")
    assert aim(connection_id=twin.id) == "changed"
    world.storage.tables.handles[row.ref_hash] = row
    world.deliver(notebook(), mine.ref)


def test_when_released_the_handle_and_its_once_end(world: World) -> None:
    """A `session` stays for the next request."""
    once = world.request(notebook(), world.answer("once"))
    assert world.access.release(notebook(), HandleUse(ref=once.ref)).released == 1
    assert not world.grants()
    assert world.access.release(notebook(), HandleUse(ref=once.ref)).released == 0
    session = world.request(notebook(), world.answer("session"))
    world.access.release(notebook(), HandleUse(ref=session.ref))
    assert reason_of(world, session) == "released"
    world.request(notebook(), unasked)
    assert world.recorded().count("access:released") == 2
