"""Connections leave in an encrypted file: what is in it, what it takes to get secrets into it, what is on record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connvault_jupyter.contracts.transfer import ExportedConnections
from connvault_jupyter.errors import (
    AuthenticationOff,
    ConnectionNotFound,
    ConnvaultError,
    ExportTooLarge,
    SlotProofRefused,
    StorageFull,
    VaultLocked,
    VaultNotSetUp,
    WeakPassphrase,
    WrongPassphrase,
)
from connvault_jupyter.services.transfer.content import decoded
from connvault_jupyter.services.transfer.exports import NAMED_WITHIN_S
from connvault_jupyter.vault.export_file import Argon2ExportFiles
from tests.support.canary import CANARY, found_in
from tests.support.services.edited_documents import edit
from tests.support.services.plain_passphrase import PASSPHRASE
from tests.support.services.service_world import POSTGRES, World
from tests.support.services.slots import lock, with_slots
from tests.support.services.stand_ins import UpdatedCatalogue
from tests.support.services.transfers import (
    FILE_PASSPHRASE,
    add,
    exported,
    exported_with_secrets,
    imported,
    previewed,
    proof,
)


def secrets_in(found: ExportedConnections) -> dict[str, dict[str, str]]:
    content = decoded(Argon2ExportFiles().opened(found.file, FILE_PASSPHRASE))
    return {
        one.name: {field: draft.value.get_secret_value() for field, draft in one.secrets.items()}
        for one in content.connections
    }


def rows(world: World) -> list[tuple[str, str | None, str | None]]:
    return [
        (row.type, row.connection, row.field)
        for row in world.record()
        if row.type in ("connection:exported", "secret:exported")
    ]


def test_without_being_asked_for_no_secret_is_in_the_file() -> None:
    """Fields and names are; who imports enters the secrets."""
    world = World()
    world.connection()
    world.connection("bare", secrets={})
    found = exported(world)
    assert secrets_in(found) == {"bare": {}, "warehouse": {}}
    assert [(one.name, one.secrets, one.without_secrets) for one in found.connections] == [
        ("bare", [], "none_set"),
        ("warehouse", [], "not_asked"),
    ]
    assert rows(world) == [("connection:exported", name, None) for name in ("bare", "warehouse")]


def test_with_a_slots_secret_the_secrets_go_along_encrypted() -> None:
    """And the log says of each that it did, by whom."""
    world = World()
    world.connection()
    found = exported(world, with_secrets=True, proof=proof(world))
    assert secrets_in(found) == {"warehouse": {"password": CANARY}}
    assert found.connections[0].secrets == ["password"]
    assert rows(world) == [
        ("connection:exported", "warehouse", None),
        ("secret:exported", "warehouse", "password"),
    ]
    assert {row.decided_by for row in world.record() if row.type.endswith("exported")} == {"ada"}
    assert not found_in(found.file)
    assert not found_in(repr(found))


WITHOUT_A_SLOT: dict[str, Callable[[World], dict[str, str] | None]] = {
    "no proof": lambda _: None,
    "an empty proof": lambda _: {},
    "a wrong passphrase": lambda _: {"passphrase": "not the passphrase"},
    "the slot alone": lambda world: {"slot": proof(world)["slot"]},
    "another key": lambda world: {**proof(world), "key": "A" * 43 + "="},
    "no slot": lambda world: {**proof(world), "slot": "nowhere"},
}


@pytest.mark.parametrize("what", WITHOUT_A_SLOT)
def test_without_a_slots_secret_no_secret_leaves(what: str) -> None:
    """The vault is unlocked and the keyring would answer: it is not asked. The try is on record."""
    world = World()
    world.connection()
    with pytest.raises((SlotProofRefused, WrongPassphrase)):
        exported(world, with_secrets=True, proof=WITHOUT_A_SLOT[what](world))
    last = world.record()[-1]
    assert (last.type, last.outcome, last.decided_by) == ("connection:exported", "refused", "ada")
    assert last.code in ("slot_proof_refused", "wrong_passphrase")
    assert len(rows(world)) == 1


def test_a_passphrase_slot_is_a_proof_too() -> None:
    """Of any slot; a wrong one is refused."""
    world = with_slots()
    assert secrets_in(exported(world, with_secrets=True, proof={"passphrase": PASSPHRASE})) == {
        "warehouse": {"password": CANARY}
    }
    with pytest.raises(WrongPassphrase):
        exported(world, with_secrets=True, proof={"passphrase": FILE_PASSPHRASE})


def test_what_forbids_to_reveal_is_named_in_a_second_request() -> None:
    """Otherwise it is in the file without its secrets, and the answer says why."""
    world = World()
    kept = world.connection(reveal_allowed=False)
    other = world.connection("other", reveal_allowed=False)
    # Named at once, too.
    first = exported(world, with_secrets=True, proof=proof(world), although_no_reveal=[kept.id])
    assert secrets_in(first) == {"warehouse": {}, "other": {}}
    assert {one.without_secrets for one in first.connections} == {"no_reveal"}
    second = exported(world, with_secrets=True, proof=proof(world), although_no_reveal=[kept.id])
    assert secrets_in(second) == {"warehouse": {"password": CANARY}, "other": {}}
    # Named, but without the proof or the wish.
    with pytest.raises(SlotProofRefused):
        exported(world, with_secrets=True, although_no_reveal=[kept.id])
    assert secrets_in(exported(world, although_no_reveal=[kept.id, other.id])) == {
        "warehouse": {},
        "other": {},
    }


def test_a_second_request_that_comes_late_is_a_first_one() -> None:
    """Ten minutes after it was withheld, nobody remembers that."""
    world = World()
    kept = world.connection(reveal_allowed=False)

    def found() -> dict[str, str]:
        named = exported(world, with_secrets=True, proof=proof(world), although_no_reveal=[kept.id])
        return secrets_in(named)["warehouse"]

    assert found() == {}
    world.clock.forward(NAMED_WITHIN_S)
    assert found() == {}
    world.clock.forward(NAMED_WITHIN_S - 1)
    assert found() == {"password": CANARY}


def test_where_the_server_forbids_to_reveal_each_has_to_be_named() -> None:
    """Whatever the connections say themselves."""
    world = World(reveal_allowed=False)
    one = world.connection(reveal_allowed=True)
    first = exported(world, with_secrets=True, proof=proof(world))
    assert first.connections[0].without_secrets == "no_reveal"
    assert secrets_in(exported_with_secrets(world, ids=[one.id])) == {"warehouse": {"password": CANARY}}


def test_chosen_connections_alone_are_exported() -> None:
    """And one that is not there is an error, not a shorter file."""
    world = World()
    one = world.connection()
    world.connection("other")
    assert [entry.name for entry in exported(world, ids=[one.id]).connections] == ["warehouse"]
    with pytest.raises(ConnectionNotFound):
        exported(world, ids=[one.id, "nowhere"])


@pytest.mark.parametrize(("strip", "reason"), [(False, "edited"), (True, "unconfirmed")])
def test_what_was_changed_outside_is_left_out(strip: bool, reason: str) -> None:
    """On another machine it would look as if a person had made it so."""
    world = World()
    world.connection()
    world.connection("other")
    edit(world, strip=strip, fields={**POSTGRES, "host": "evil.example.org"})
    found = exported_with_secrets(world)
    assert [(one.name, one.reason) for one in found.left_out] == [("warehouse", reason)]
    assert secrets_in(found) == {"other": {"password": CANARY}}
    assert b"evil" not in Argon2ExportFiles().opened(found.file, FILE_PASSPHRASE)


def test_a_secret_that_can_t_be_read_does_not_stop_the_others() -> None:
    """Its connection is there without it, and says so; so is one of a kind that is no longer installed."""
    world = World()
    one = world.connection()
    world.connection("other")
    gone = world.connection("gone", provider="postgresql")
    ((field, sealed),) = [
        (key, value) for key, value in world.storage.tables.secrets.items() if value.connection_id == one.id
    ]
    world.storage.tables.secrets[field] = type(sealed)(
        **{**sealed.__dict__, "envelope": sealed.envelope[:-1] + b"\0"}
    )
    later = World(
        storage=(world.storage, world.stores),
        custodians={"os_keyring": world.keyring},
        registry=UpdatedCatalogue({"postgresql": None}),
        unlocked=False,
    )
    later.keyring = world.keyring
    later.secrets.open_at_start()
    found = exported_with_secrets(later)
    assert {one.name: one.without_secrets for one in found.connections} == {
        "warehouse": "unreadable",
        "other": None,
        "gone": "provider_missing",
    }
    assert secrets_in(found)["other"] == {"password": CANARY}
    assert gone.id in {entry.id for entry in found.connections}


def test_a_locked_vault_gives_nothing() -> None:
    """With a slot's secret neither: a proof does not unlock. Nor without secrets: what was changed outside looks like
    any other connection as long as there are no keys."""
    world = World()
    world.connection()
    given = proof(world)
    edit(world, strip=False, fields={**POSTGRES, "host": "evil.example.org"})
    lock(world)
    for more in ({"with_secrets": True, "proof": given}, {}):
        with pytest.raises(VaultLocked):
            exported(world, **more)
    assert world.secrets.short_state == "locked"
    assert rows(world) == []


def test_where_there_is_no_vault_metadata_is_exported() -> None:
    """What was entered before it is set up. There are no secrets."""
    world = World(unlocked=False)
    world.connection(secrets={})
    assert [one.without_secrets for one in exported(world).connections] == ["none_set"]
    with pytest.raises(VaultNotSetUp):
        exported(world, with_secrets=True, proof={"passphrase": PASSPHRASE})


def test_without_authentication_no_secret_leaves() -> None:
    """Anybody could be the person."""
    world = World()
    world.connection()
    open_to_all = World(
        storage=(world.storage, world.stores),
        custodians={"os_keyring": world.keyring},
        unlocked=False,
        authenticated=False,
    )
    open_to_all.secrets.open_at_start()
    with pytest.raises(AuthenticationOff):
        exported(open_to_all, with_secrets=True, proof=proof(world))


REFUSED: dict[str, tuple[dict[str, Any], type[ConnvaultError]]] = {
    "a weak passphrase": ({"passphrase": "short"}, WeakPassphrase),
    "too much": ({}, ExportTooLarge),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_became_no_file_is_not_on_record_as_one(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are written when the file is there, and before it is handed out."""
    given, error = REFUSED[what]
    world = World()
    world.connection()
    if what == "too much":
        monkeypatch.setattr("connvault_jupyter.vault.export_file.MAX_FILE_CHARS", 100)
    with pytest.raises(error):
        exported_with_secrets(world, **given)
    assert rows(world) == []


def test_no_row_no_file() -> None:
    """A full disk: nothing leaves that is not on record."""
    world = World()
    world.connection()
    given = proof(world)
    world.storage.full = True
    with pytest.raises(StorageFull):
        exported(world, with_secrets=True, proof=given)


def test_a_thousand_connections_with_secrets_are_one_file() -> None:
    """And come out of it again, in a request that fits into a frame."""
    world = World()
    for number in range(1000):
        world.connection(f"connection-{number}", secrets={"password": f"{CANARY}{number}"})
    found = exported_with_secrets(world)
    assert len(found.file) < 200_000
    other = World()
    taken = imported(other, found.file, *(add(f"connection-{number}") for number in range(1000)))
    assert len(taken.connections) == 1000
    assert {entry.would for entry in previewed(other, found.file).connections} == {"same"}
