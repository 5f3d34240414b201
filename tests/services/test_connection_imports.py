"""Connections come out of a file: what a person is shown first, what is taken, and what an import never does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connvault_jupyter.contracts.access import GrantFilter
from connvault_jupyter.contracts.connections import Connection, ConnectionView
from connvault_jupyter.errors import (
    ConnectionNotFound,
    ConnectionNotReady,
    ConnvaultError,
    ExportFileInvalid,
    InvalidFields,
    InvalidRequest,
    NameTaken,
    ProviderNotFound,
    RevisionConflict,
    StorageFull,
    VaultLocked,
    WrongKind,
    WrongPassphrase,
)
from connvault_jupyter.vault.export_file import Argon2ExportFiles
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.canary import CANARY
from tests.support.services.edited_documents import edit
from tests.support.services.service_world import CHEAP, POSTGRES, World, notebook
from tests.support.services.slots import lock
from tests.support.services.stand_ins import UpdatedCatalogue
from tests.support.services.transfers import (
    FILE_PASSPHRASE,
    add,
    exported,
    exported_with_secrets,
    imported,
    previewed,
    replace,
)

EVIL = {**POSTGRES, "host": "evil.example.org"}


def file_of(*connections: dict[str, Any], **changes: Any) -> str:
    """A file as somebody else makes it, who knows the format."""
    content = {"made_at": "2026-11-30T12:00:00Z", "connections": [*connections], **changes}
    return Argon2ExportFiles(costs=CHEAP).sealed(json.dumps(content).encode(), FILE_PASSPHRASE)


def one(name: str = "warehouse", **changes: Any) -> dict[str, Any]:
    return {
        "provider_id": IN_CLEAR,
        "name": name,
        "fields": POSTGRES,
        "reveal_allowed": True,
        "secrets": {"password": {"value": "of the file"}},
        **changes,
    }


def the(world: World, name: str = "warehouse") -> ConnectionView:
    (found,) = [view for view in world.connections.list().connections if view.connection.name == name]
    return found


def secret_of(world: World, name: str = "warehouse") -> str:
    """What a notebook gets that a person allows it to."""
    ref = world.request(notebook(), world.answer("session"), name).ref
    return world.deliver(notebook(), ref).secrets["password"].get_secret_value()


def state(world: World) -> tuple[object, ...]:
    return world.storage.tables.connections.copy(), world.storage.tables.secrets.copy(), world.recorded()


def test_what_is_exported_arrives_on_another_machine() -> None:
    """Kind, names, fields, permission to reveal and secrets; ids, times and status are made here."""
    here, there = World(), World()
    made = here.connection(reveal_allowed=False)
    here.connection("bare", secrets={})
    there.clock.forward(3600)
    file = exported_with_secrets(here).file
    taken = imported(there, file, add(), add("bare"))
    assert [(entry.name, entry.action, entry.secrets) for entry in taken.connections] == [
        ("bare", "add", []),
        ("warehouse", "add", ["password"]),
    ]
    arrived = the(there).connection
    ours = {"id", "created_at", "updated_at", "status", "status_reason"}
    assert {key: value for key, value in arrived if key not in ours} == {
        key: value for key, value in made if key not in ours
    }
    assert arrived.created_at == there.clock()
    assert (arrived.status, the(there, "bare").connection.status) == ("ready", "draft")
    assert secret_of(there) == CANARY


def test_an_import_is_on_record_as_what_it_is() -> None:
    """Besides being a new connection with a secret that was set."""
    world = World()
    imported(world, file_of(one()), add())
    assert world.recorded()[-3:] == ["connection:created", "secret:set", "connection:imported"]


def test_an_import_grants_nothing() -> None:
    """Whoever may use it elsewhere is asked for here."""
    here, there = World(), World()
    here.connection()
    here.request(notebook(), here.answer("always"))
    imported(there, exported_with_secrets(here).file, add())
    assert there.consent.grants(GrantFilter()).grants == []


WOULD: dict[str, tuple[dict[str, Any], str]] = {
    "a free name": (one("free"), "new"),
    "all as here": (one(), "same"),
    "all as here, by default": (one(fields={**POSTGRES, "port": 5432}), "same"),
    "another user": (one(fields={**POSTGRES, "user": "bob"}), "name_taken"),
    "the name in capitals": (one("WAREHOUSE", fields={**POSTGRES, "user": "bob"}), "name_taken"),
    "another host": (one(fields=EVIL), "other_destination"),
    "another kind": (one(provider_id="postgresql"), "other_destination"),
    "a kind that is not here": (one("x", provider_id="oracle"), "unknown_kind"),
    "a field that the kind does not know": (one("x", fields={**POSTGRES, "pin": "1"}), "invalid"),
    "a port that is none": (one("x", fields={**POSTGRES, "port": -1}), "invalid"),
    "a secret as a field": (one("x", fields={**POSTGRES, "password": "p"}), "invalid"),
    "a secret that the kind does not know": (one("x", secrets={"pin": {"value": "1"}}), "invalid"),
}


@pytest.mark.parametrize("what", WOULD)
def test_the_preview_says_what_would_happen(what: str) -> None:
    """With the destination of what is in the file, and what has the name now; nothing is changed."""
    world = World()
    world.connection()
    before = state(world)
    given, would = WOULD[what]
    (entry,) = previewed(world, file_of(given)).connections
    assert entry.would == would
    assert (entry.present is not None) == (entry.name.lower() == "warehouse")
    if would == "other_destination" and given["provider_id"] == IN_CLEAR:
        assert entry.present is not None
        assert "evil.example.org" in entry.destination
        assert "db.example.org" in entry.present.destination
    assert state(world) == before


def test_what_is_not_decided_is_skipped() -> None:
    """New ones too: nothing comes by itself."""
    world = World()
    taken = imported(world, file_of(one("a"), one("b"), one("c")), add("b"), {"name": "c", "action": "skip"})
    assert [entry.name for entry in taken.connections] == ["b"]
    assert taken.skipped == ["a", "c"]
    assert [view.connection.name for view in world.connections.list().connections] == ["b"]


def test_under_another_name_both_are_there() -> None:
    """What was here stays as it is."""
    world = World()
    mine = world.connection()
    imported(world, file_of(one(fields=EVIL)), add(as_name="warehouse-2"))
    assert the(world).connection == mine
    assert the(world, "warehouse-2").connection.fields["host"] == "evil.example.org"
    assert secret_of(world) == CANARY


def test_replacing_changes_what_is_there() -> None:
    """The id stays, the revision counts on, and the file's secret is the one that counts."""
    world = World()
    mine = world.connection(reveal_allowed=False)
    imported(world, file_of(one(display_name="Theirs")), replace(world))
    now = the(world).connection
    assert (now.id, now.revision, now.display_name) == (mine.id, mine.revision + 1, "Theirs")
    # The file's permission to reveal is not taken over.
    assert not now.reveal_allowed
    assert secret_of(world) == "of the file"


def test_a_host_under_an_old_name_gets_no_old_secret_and_keeps_no_permission() -> None:
    """Not even if a person has decided to replace: it is a draft, and notebooks ask again."""
    world = World()
    world.connection()
    world.request(notebook(), world.answer("always"))
    assert world.grants()
    imported(world, file_of(one(fields=EVIL, secrets={})), replace(world))
    assert world.grants() == []
    assert (the(world).connection.status, the(world).secrets) == ("draft", {})
    assert {"grant:voided", "secret:removed"} <= {*world.recorded()}


REFUSED: dict[str, tuple[Callable[[World], dict[str, Any]], dict[str, Any], type[ConnvaultError]]] = {
    "the name is taken": (lambda _: add(), one(), NameTaken),
    "the other name is taken": (lambda _: add("b", as_name="Warehouse"), one("b"), NameTaken),
    "it was changed since": (lambda world: {**replace(world), "revision": 7}, one(), RevisionConflict),
    "nothing to replace": (
        lambda _: {"name": "b", "action": "replace", "revision": 1},
        one("b"),
        ConnectionNotFound,
    ),
    "replaced by another kind": (replace, one(provider_id="postgresql"), WrongKind),
    "an unknown kind": (lambda _: add("b"), one("b", provider_id="oracle"), ProviderNotFound),
    "fields that don't fit": (lambda _: add("b"), one("b", fields={"host": 1}), InvalidFields),
}


@pytest.mark.parametrize("what", REFUSED)
def test_all_is_imported_or_nothing(what: str) -> None:
    """Also what comes before it in the file; the error names the connection."""
    decision, given, error = REFUSED[what]
    world = World()
    world.connection()
    before = state(world)
    with pytest.raises(error) as caught:
        imported(world, file_of(one("first"), given), add("first"), decision(world))
    assert caught.value.details["connection"] == given["name"]
    assert state(world) == before


def test_two_of_the_same_new_name_are_refused() -> None:
    """Neither is taken."""
    world = World()
    with pytest.raises(NameTaken):
        imported(world, file_of(one("a"), one("b")), add("a"), add("b", as_name="A"))
    assert not world.storage.tables.connections


@pytest.mark.parametrize("strip", [False, True])
def test_what_was_changed_outside_is_not_replaced(strip: bool) -> None:
    """A person reviews it first: replacing would confirm what they have not seen."""
    world = World()
    world.connection()
    edit(world, strip=strip, fields=EVIL)
    decision = {"name": "warehouse", "action": "replace", "revision": 1}
    with pytest.raises(ConnectionNotReady):
        imported(world, file_of(one()), decision)


NO_DECISION: dict[str, tuple[dict[str, Any], ...]] = {
    "not in the file": (add("elsewhere"),),
    "twice": (add(), add(as_name="b")),
    "replace without a revision": ({"name": "warehouse", "action": "replace"},),
    "add with one": (add(revision=1),),
    "replace under another name": (
        {"name": "warehouse", "action": "replace", "revision": 1, "as_name": "b"},
    ),
}


@pytest.mark.parametrize("what", NO_DECISION)
def test_a_decision_that_fits_nothing_is_refused(what: str) -> None:
    """Before anything is stored."""
    world = World()
    with pytest.raises(InvalidRequest) as caught:
        imported(world, file_of(one()), *NO_DECISION[what])
    assert caught.value.details["errors"]
    assert not world.storage.tables.connections


CONTENTS: dict[str, str] = {
    "another field": file_of(one(status="ready")),
    "a grant": file_of(one(), grants=[]),
    "no connections": file_of(connections=None),
    "an id": file_of(one(id="c1")),
    "a name that is none": file_of(one("../x")),
    "a name twice": file_of(one(), one("Warehouse")),
    "no JSON": Argon2ExportFiles(costs=CHEAP).sealed(b"connections", FILE_PASSPHRASE),
}


@pytest.mark.parametrize("what", CONTENTS)
def test_a_content_that_is_none_is_refused(what: str) -> None:
    """What a file can't say it does not say: a status, a permission, an id."""
    for call in (previewed, imported):
        with pytest.raises(ExportFileInvalid) as caught:
            call(World(), CONTENTS[what])
        assert caught.value.__context__ is None
        assert "of the file" not in str(caught.value)


def test_a_wrong_passphrase_imports_nothing() -> None:
    """And is not the vault's."""
    with pytest.raises(WrongPassphrase) as caught:
        previewed(World(), file_of(one()), "another passphrase")
    assert "file" in caught.value.message


def test_a_locked_vault_takes_metadata_alone() -> None:
    """As when they are typed in."""
    here, world = World(), World()
    here.connection()
    lock(world)
    with pytest.raises(VaultLocked):
        imported(world, file_of(one()), add())
    imported(world, exported(here).file, add())
    assert the(world).connection.status == "draft"
    world.secrets.open_at_start()
    assert the(world).connection.status_reason == "secret_missing"


def test_on_a_full_disk_nothing_is_imported() -> None:
    """Neither connection nor row."""
    world = World()
    before = state(world)
    world.storage.full = True
    with pytest.raises(StorageFull):
        imported(world, file_of(one()), add())
    world.storage.full = False
    assert state(world) == before


def test_a_kind_that_has_gone_is_listed_beside_what_has_its_name() -> None:
    """It can only be skipped."""
    world = World()
    world.connection("old", provider="postgresql")
    file = exported(world).file
    later = World(
        storage=(world.storage, world.stores), registry=UpdatedCatalogue({"postgresql": None}), unlocked=False
    )
    (entry,) = previewed(later, file).connections
    assert (entry.would, entry.destination) == ("unknown_kind", "")
    assert entry.present is not None


def test_events_follow_when_all_is_stored() -> None:
    """One for the list, and one for permissions where some have ended."""
    world = World()
    world.connection()
    world.request(notebook(), world.answer("always"))
    world.events.clear()
    imported(world, file_of(one("a"), one("b")), add("a"), add("b"))
    assert [event.event for event in world.events if event.event != "audit:changed"] == [
        "connections:changed"
    ]
    imported(world, file_of(one(fields=EVIL)), replace(world))
    assert "grants:changed" in [event.event for event in world.events]


def test_the_ids_of_a_file_are_not_those_of_the_vault() -> None:
    """Imported into the vault that it is from, under another name: another connection, with its own secret."""
    world = World()
    mine: Connection = world.connection()
    imported(world, exported_with_secrets(world).file, add(as_name="copy"))
    assert the(world, "copy").connection.id != mine.id
    assert secret_of(world, "copy") == CANARY
