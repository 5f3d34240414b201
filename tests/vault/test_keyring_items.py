"""What the OS-keyring custodian stores, reads and says, with a keyring in memory. No daemon, no person."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from connvault_jupyter.errors import CustodianUnavailable, WrongPassphrase
from connvault_jupyter.vault import os_keyring
from connvault_jupyter.vault.custodian import DAMAGED
from connvault_jupyter.vault.keyring_backends import KNOWN, Chosen, NoneChosen
from connvault_jupyter.vault.os_keyring import OsKeyringCustodian

KEY = bytes(range(32))
ITEM = "1:" + base64.b64encode(KEY).decode()
STORED = {"version": 1, "store": "kwallet"}


class Keyring:
    """In memory. `failure` is raised by each call, `loses` and `keeps` are what bad ones do."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], str] = {}
        self.calls: list[tuple[str, str]] = []
        self.failure: Exception | None = None
        self.loses = self.keeps = False
        self.hangs: threading.Event | None = None

    def _called(self, call: str, name: str) -> None:
        self.calls.append((call, name))
        if self.hangs is not None:
            self.hangs.wait()
        if self.failure is not None:
            raise self.failure

    def set_password(self, service: str, name: str, value: str) -> None:
        self._called("set", name)
        if not self.loses:
            self.items[service, name] = value

    def get_password(self, service: str, name: str) -> str | None:
        self._called("get", name)
        return self.items.get((service, name))

    def delete_password(self, service: str, name: str) -> None:
        self._called("delete", name)
        if not self.keeps:
            self.items.pop((service, name), None)


class World:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keyring = Keyring()
        self.why = ""
        self.hangs: threading.Event | None = None
        self.stores: list[str | None] = []
        self.custodian = OsKeyringCustodian(random=lambda size: b"r" * size)
        monkeypatch.setattr(os_keyring, "choose_backend", self._choose)

    def _choose(self, store: str | None) -> Any:
        self.stores.append(store)
        if self.hangs is not None:
            self.hangs.wait()
        known = next(one for one in KNOWN if one.store == "kwallet")
        return NoneChosen(self.why) if self.why else Chosen(known, self.keyring)  # type: ignore[arg-type]

    def refused(self, call: str = "recover") -> str:
        calls: dict[str, Callable[[], object]] = {
            "keep": lambda: self.custodian.keep("vault-1", KEY, None),
            "recover": lambda: self.custodian.recover("vault-1", STORED, None),
        }
        with pytest.raises(CustodianUnavailable) as caught:
            calls[call]()
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None or caught.value.__suppress_context__
        return caught.value.message


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    made = World(monkeypatch)
    yield made
    for one in (made.hangs, made.keyring.hangs):
        if one is not None:
            one.set()


def test_a_key_is_one_item_of_the_documented_form(world: World) -> None:
    """And comes back; of the probe nothing is left."""
    stored = world.custodian.keep("vault-1", KEY, None)
    assert stored == STORED
    assert world.keyring.items == {("connvault-jupyter", "vault-1"): ITEM}
    assert world.custodian.recover("vault-1", stored, None) == KEY
    assert world.stores == [None, "kwallet"]


def test_a_keyring_is_probed_with_another_item_before_it_has_the_key(world: World) -> None:
    """One that it loses or keeps for ever must not be the key."""
    world.custodian.keep("vault-1", KEY, None)
    probe = "vault-1.probe"
    assert world.keyring.calls == [
        ("set", probe), ("get", probe), ("delete", probe), ("get", probe), ("set", "vault-1"), ("get", "vault-1"),
    ]  # fmt: skip


@pytest.mark.parametrize("fault", ["loses", "keeps"])
def test_a_keyring_that_fails_its_probe_never_has_the_key(world: World, fault: str) -> None:
    """It is named, and a passphrase is proposed."""
    setattr(world.keyring, fault, True)
    assert world.refused("keep") == "KWallet does not store what it is given. Choose a passphrase instead."
    assert ("set", "vault-1") not in world.keyring.calls


def test_the_probe_is_sixteen_random_bytes(world: World) -> None:
    """Nobody could have stored them before."""
    world.keyring.keeps = True
    world.refused("keep")
    assert world.keyring.items == {
        ("connvault-jupyter", "vault-1.probe"): base64.b64encode(b"r" * 16).decode()
    }


def test_a_keyring_that_stores_another_key_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Although it passes the probe."""
    get = world.keyring.get_password

    def other(service: str, name: str) -> str | None:
        found = get(service, name)
        return found if name.endswith(".probe") else ITEM.lower()

    monkeypatch.setattr(world.keyring, "get_password", other)
    assert "does not store what it is given" in world.refused("keep")


def test_a_keyring_without_the_key_says_what_is_lost(world: World) -> None:
    """Another slot may still open the vault."""
    assert world.refused().startswith("KWallet no longer has this vault's key. Unlock the vault by another")


@pytest.mark.parametrize("item", ["", ITEM[2:], "2:" + ITEM[2:], ITEM + "!", "1:@" + ITEM[2:], "1:"])
def test_an_item_of_another_form_is_refused(world: World, item: str) -> None:
    """Without a word of it."""
    world.keyring.items["connvault-jupyter", "vault-1"] = item
    message = world.refused()
    assert "damaged" in message
    assert ITEM[2:20] not in message


@pytest.mark.parametrize("store", [None, "", "KWallet", 5, "file"])
def test_parameters_that_name_no_known_store_are_refused(world: World, store: object) -> None:
    """No keyring is asked."""
    with pytest.raises(CustodianUnavailable) as caught:
        world.custodian.recover("vault-1", {"version": 1, "store": store}, None)
    assert caught.value.message == DAMAGED
    assert world.stores == []


@pytest.mark.parametrize("name", ["vault-1", "vault-2"])
def test_a_forgotten_key_is_deleted_alone(world: World, name: str) -> None:
    """And nobody hears of one that was not there."""
    for one in ("vault-1", "vault-2"):
        world.custodian.keep(one, KEY, None)
    world.custodian.forget(name, STORED)
    assert {one for _, one in world.keyring.items} == {"vault-1", "vault-2"} - {name}
    assert world.stores[-1] == "kwallet"
    world.keyring.failure = RuntimeError("gone")
    world.custodian.forget(name, STORED)


def test_a_keyring_that_answers_is_available(world: World) -> None:
    """By its own name; the item is not looked at."""
    found = world.custodian.availability()
    assert (found.available, found.label) == (True, "System keyring (KWallet)")
    assert "not from notebooks" in found.detail
    assert world.keyring.calls == []


def test_without_a_keyring_the_reason_is_told(world: World) -> None:
    """In the dialog, and where a vault is opened."""
    world.why = "No system keyring answers here."
    found = world.custodian.availability()
    assert (found.available, found.label, found.detail) == (False, "System keyring", world.why)
    assert world.refused() == world.refused("keep") == world.why


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("InitError", "KWallet is locked, or can't be opened. Unlock it, then try again."),
        ("KeyringLocked", "KWallet is locked. Unlock it, then"),
        ("LockedException", "KWallet is locked. Unlock it, then"),
        ("PromptDismissedException", "the dialog to unlock it was closed. Unlock it, then"),
        ("NoKeyringError", "KWallet has stopped. Start it, then"),
        ("SecretServiceNotAvailableException", "KWallet has stopped. Start it, then"),
        ("SomethingElse", "KWallet refused, then try again."),
    ],
)
@pytest.mark.parametrize("call", ["keep", "recover"])
def test_a_keyrings_own_error_is_told_by_its_kind(world: World, name: str, said: str, call: str) -> None:
    """Its text is not: its frames hold the key."""
    world.keyring.failure = type(name, (Exception,), {})("canary")
    message = world.refused(call)
    assert said in message
    assert "use a passphrase instead" in message
    assert "canary" not in message


def test_an_error_of_the_vaults_own_is_not_the_keyrings(world: World) -> None:
    """It says already what to do."""
    world.keyring.failure = WrongPassphrase()
    with pytest.raises(WrongPassphrase):
        world.custodian.recover("vault-1", STORED, None)


def test_a_person_who_does_not_answer_is_waited_for_so_long(world: World) -> None:
    """With what to look for; what is only asked whether it is there is not held up."""
    world.custodian = OsKeyringCustodian(quick_s=5, person_s=0.05)
    world.keyring.hangs = threading.Event()
    assert world.refused().startswith("KWallet did not answer within 0 seconds. Look for its dialog")
    assert world.custodian.availability().available


def test_a_keyring_that_never_says_whether_it_is_there_is_not_waited_for(world: World) -> None:
    """A daemon that hangs."""
    world.custodian = OsKeyringCustodian(quick_s=0.05, person_s=5)
    world.hangs = threading.Event()
    found = world.custodian.availability()
    assert not found.available
    assert found.detail.startswith("The system keyring does not answer.")
    assert world.refused().startswith("The system keyring does not answer.")


def test_a_key_that_is_forgotten_is_not_waited_for(world: World) -> None:
    """Nobody is asked for that."""
    world.custodian = OsKeyringCustodian(quick_s=0.05, person_s=600)
    world.keyring.hangs = threading.Event()
    world.custodian.forget("vault-1", STORED)
    assert world.keyring.calls == [("delete", "vault-1")]
