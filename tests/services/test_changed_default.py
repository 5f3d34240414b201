"""A destination field of a built-in kind gets another default: secrets from before open, and mean the new one."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import pytest

from connvault_jupyter.contracts.connections import Connection, UpdateConnection
from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.contracts.vault import ChangePassphrase, CustodianKind, SetUpVault, UnlockVault
from connvault_jupyter.errors import SecretInvalid
from connvault_jupyter.services.vault_ports import Custodian
from tests.support.canary import CANARY
from tests.support.servers.sshd import new_key
from tests.support.services.plain_passphrase import PASSPHRASE, PlainPassphrase
from tests.support.services.service_world import World, notebook
from tests.support.services.stand_ins import UpdatedCatalogue, catalogue

_FIELDS: dict[str, Any] = {"host": "build.test", "port": 22, "user": "git"}
_WITH_KEY: dict[str, Any] = {**_FIELDS, "host_key": new_key().public}


def _before() -> ProviderDefinition:
    """SSH as it was when logins that name no host were signed unless somebody asked for more."""
    now = catalogue().get("ssh")
    assert now is not None
    fields = deepcopy(now.fields)
    fields["properties"]["bound_only"]["default"] = False
    return now.model_copy(update={"fields": fields})


def _updated(fields: dict[str, Any]) -> tuple[World, Connection]:
    """A connection of the version before, in this one's hands."""
    first = World(registry=UpdatedCatalogue({"ssh": _before()}))
    connection = first.connection("build", provider="ssh", fields=fields, secrets={"private_key": CANARY})
    return _next_start(first), connection


def _next_start(world: World) -> World:
    found = World(storage=(world.storage, world.stores), unlocked=False)
    found.keyring.items.update(world.keyring.items)
    found.secrets.open_at_start()
    return found


def _delivered(world: World) -> tuple[Any, str]:
    """What a relay gets to log in with: whether logins must be bound, and the key."""
    ref = world.request(notebook(), world.answer("once"), "build").ref
    world.open(notebook(), ref)
    found = world.login(notebook(), ref)
    return found.fields.get("bound_only"), found.secrets["private_key"].get_secret_value()


@pytest.mark.parametrize("fields", [_FIELDS, _WITH_KEY], ids=["no host key", "a host key"])
def test_where_nothing_was_chosen_the_secret_opens_and_the_new_default_counts(fields: dict[str, Any]) -> None:
    """Without the person: the safe default must not cost a key that has to be found and pasted again."""
    world, connection = _updated(fields)
    assert world.view(connection).connection.status == "ready"
    assert _delivered(world) == (True, CANARY)


@pytest.mark.parametrize("chosen", [False, True])
def test_a_value_that_was_chosen_counts_as_it_did(chosen: bool) -> None:
    """Either way the key opens for what it was sealed for."""
    world, _ = _updated({**_WITH_KEY, "bound_only": chosen})
    assert _delivered(world) == (chosen, CANARY)


def test_when_the_default_is_written_down_nothing_has_moved() -> None:
    """The form sends each field: saving it unchanged takes no key away."""
    world, connection = _updated(_WITH_KEY)
    world.connections.update(
        UpdateConnection(id=connection.id, revision=1, fields={**_WITH_KEY, "bound_only": True}), actor="ada"
    )
    assert world.view(connection).secrets
    assert _delivered(world) == (True, CANARY)


def test_when_the_new_default_is_switched_off_later_the_secret_is_gone() -> None:
    """Less is verified then, so the key is asked for again, also one that was sealed under the old default."""
    world, connection = _updated(_WITH_KEY)
    world.connections.update(
        UpdateConnection(id=connection.id, revision=1, fields={**_WITH_KEY, "bound_only": False}), actor="ada"
    )
    assert not world.view(connection).secrets


def test_a_secret_sealed_now_does_not_open_where_it_is_switched_off() -> None:
    """An edited row: what is sealed under the new default never opens for the old one."""
    world = World()
    connection = world.connection("build", provider="ssh", fields=_WITH_KEY, secrets={"private_key": CANARY})
    (sealed,) = world.stores.secrets.all()
    opening = world.services.connections._checks._resolver
    loosened = connection.model_copy(update={"fields": {**_WITH_KEY, "bound_only": False}})
    assert world.secrets.sealed.unseal(connection, sealed, opening.ready(connection)) == CANARY
    with pytest.raises(SecretInvalid):
        world.secrets.sealed.unseal(loosened, sealed, opening.ready(loosened))


def test_a_changed_passphrase_seals_the_secret_for_the_new_default() -> None:
    """What opens by the old default is no damaged secret: it is sealed anew like any other."""
    kept: Mapping[CustodianKind, Custodian] = {"passphrase": PlainPassphrase()}
    first = World(custodians=kept, registry=UpdatedCatalogue({"ssh": _before()}), unlocked=False)
    first.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    connection = first.connection("build", provider="ssh", fields=_WITH_KEY, secrets={"private_key": CANARY})
    second = World(custodians=kept, storage=(first.storage, first.stores), unlocked=False)
    second.secrets.unlock(UnlockVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    change = {"current": PASSPHRASE, "new": "another long passphrase"}
    second.secrets.change_passphrase(ChangePassphrase.model_validate(change), actor="ada")
    assert second.view(connection).connection.status == "ready"
    assert _delivered(second) == (True, CANARY)
    (sealed,) = second.stores.secrets.all()
    opening = second.services.connections._checks._resolver
    loosened = connection.model_copy(update={"fields": {**_WITH_KEY, "bound_only": False}})
    with pytest.raises(SecretInvalid):
        second.secrets.sealed.unseal(loosened, sealed, opening.ready(loosened))


def test_a_secret_of_before_opens_at_no_other_host() -> None:
    """The one field may have had another default; the others are what they are."""
    world, connection = _updated(_WITH_KEY)
    (sealed,) = world.stores.secrets.all()
    opening = world.services.connections._checks._resolver
    for changed in (
        {"host": "evil.test"},
        {"host_key": new_key().public},
        {"host_key": None},
        {"port": 2222},
    ):
        moved = connection.model_copy(update={"fields": {**_WITH_KEY, **changed}})
        with world.lock, pytest.raises(SecretInvalid):
            world.secrets.sealed.unseal(moved, sealed, opening.ready(moved))


def test_a_grant_of_before_is_asked_for_anew() -> None:
    """What it was given for is another thing now."""
    first = World(registry=UpdatedCatalogue({"ssh": _before()}))
    first.connection("build", provider="ssh", fields=_WITH_KEY, secrets={"private_key": CANARY})
    first.request(notebook(), first.answer("always"), "build")
    second = _next_start(first)
    asked = second.recorded().count("access:asked")
    second.request(notebook(), second.answer("once"), "build")
    assert second.recorded().count("access:asked") == asked + 1
