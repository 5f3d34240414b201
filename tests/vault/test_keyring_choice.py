"""Which keyring is used, of those that Python has: by name, priority, and what a person has configured. No daemon."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from connvault_jupyter.vault import keyring_backends, session_bus
from connvault_jupyter.vault.keyring_backends import KNOWN, Chosen, NoneChosen, choose_backend

SECRET_SERVICE, LIBSECRET, KWALLET, MACOS, WINDOWS = (known.name for known in KNOWN)


def backend(name: str, priority: float | Exception = 5.0) -> type:
    """A class of this name; its priority is asked for as keyring's own is."""

    class Asked(type):
        @property
        def priority(cls) -> float:
            if isinstance(priority, Exception):
                raise priority
            return priority

    module, _, last = name.rpartition(".")
    return Asked(last, (), {"__module__": module, "priority": priority})


class World:
    """What Python finds here: at first no keyring, nothing configured, and no need of a bus."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch
        for known in KNOWN:
            monkeypatch.setitem(sys.modules, known.name.rpartition(".")[0], None)
        self.configured: Any = None
        self.found: Any = backend("keyring.backends.fail.Keyring")()
        self.no_bus = ""
        monkeypatch.setattr(keyring_backends, "_configured", self._configured)
        monkeypatch.setattr(session_bus, "join", lambda _environment: self.no_bus)
        monkeypatch.setattr("keyring.get_keyring", self._get_keyring)

    def _configured(self) -> Any:
        if isinstance(self.configured, Exception):
            raise self.configured
        return self.configured

    def _get_keyring(self) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def has(self, name: str, priority: float | Exception = 5.0) -> World:
        module, _, last = name.rpartition(".")
        made = ModuleType(module)
        setattr(made, last, backend(name, priority))
        self._patch.setitem(sys.modules, module, made)
        return self


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def chosen(store: str | None = None) -> str:
    found = choose_backend(store)
    assert isinstance(found, Chosen), found
    kind = type(found.backend)
    assert f"{kind.__module__}.{kind.__qualname__}" == found.known.name
    return found.known.name


def refused(store: str | None = None) -> str:
    found = choose_backend(store)
    assert isinstance(found, NoneChosen), found
    return found.why


@pytest.mark.parametrize("name", [known.name for known in KNOWN])
def test_a_keyring_of_a_system_is_used_where_it_answers(world: World, name: str) -> None:
    """Each of those that are known."""
    world.has(name)
    assert chosen() == name


@pytest.mark.parametrize("order", [(SECRET_SERVICE, KWALLET), (KWALLET, SECRET_SERVICE)])
def test_of_two_keyrings_the_one_of_higher_priority_is_used(world: World, order: tuple[str, str]) -> None:
    """On keyring's own scale."""
    world.has(order[0], 5.1).has(order[1], 4.9)
    assert chosen() == order[0]


@pytest.mark.parametrize(("priority", "used"), [(1.0, True), (0.9, False), (RuntimeError("no bus"), False)])
def test_a_keyring_that_is_not_recommended_is_not_used(
    world: World, priority: float | Exception, used: bool
) -> None:
    """Nor one that says that it can't work here."""
    world.has(KWALLET, priority)
    assert isinstance(choose_backend(), Chosen) is used


def test_the_key_of_a_vault_is_looked_for_in_its_own_store_alone(world: World) -> None:
    """By either of the two ways to the same store, and whatever else is there."""
    world.has(KWALLET, 9.0).has(LIBSECRET, 2.0)
    assert chosen("secret_service") == LIBSECRET
    assert chosen("kwallet") == KWALLET
    assert refused("macos").startswith("macOS Keychain holds the master key, but does not answer.")
    assert refused("another").startswith("The keyring holds the master key")


def test_a_configured_keyring_is_used_even_if_another_one_is_better(world: World) -> None:
    """Somebody has chosen it."""
    world.has(KWALLET, 1.0).has(SECRET_SERVICE, 9.0)
    world.configured = backend(KWALLET)()
    assert chosen() == chosen("kwallet") == KWALLET
    assert "not in the keyring that Python now uses (KWallet)" in refused("secret_service")


def test_a_configured_keyring_that_does_not_answer_is_not_replaced(world: World) -> None:
    """The person is told."""
    world.has(SECRET_SERVICE)
    world.configured = backend(KWALLET)()
    assert refused().startswith("KWallet does not answer.")


def test_a_configured_chain_of_keyrings_is_searched_for_known_ones(world: World) -> None:
    """The chain itself is none."""
    world.has(SECRET_SERVICE)
    world.configured = backend("keyring.backends.chainer.ChainerBackend")()
    assert chosen() == SECRET_SERVICE


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "keyrings.alt.file.PlaintextKeyring",
            "keyrings.alt.file.PlaintextKeyring is refused: it stores passwords",
        ),
        ("keyring.backends.null.Keyring", "switched off (keyring.backends.null.Keyring)"),
        ("keyring.backends.fail.Keyring", "switched off (keyring.backends.fail.Keyring)"),
        ("my.keyrings.alt.Keyring", "my.keyrings.alt.Keyring is refused: it is not a known keyring"),
        ("a\u00e4<b>\n." + "c" * 200, f"ab.{'c' * 97} is refused"),
    ],
)
def test_a_configured_keyring_of_another_kind_is_refused_by_name(world: World, name: str, said: str) -> None:
    """Although a known one answers; the name is somebody else's text."""
    world.has(SECRET_SERVICE)
    world.configured = backend(name)()
    assert said in refused()


def test_a_setting_that_names_nothing_is_told(world: World) -> None:
    """By the type of its error alone."""
    world.has(SECRET_SERVICE)
    world.configured = ModuleNotFoundError("canary")
    why = refused()
    assert "PYTHON_KEYRING_BACKEND" in why
    assert "(ModuleNotFoundError)" in why
    assert "canary" not in why


def test_where_no_keyring_answers_the_reason_may_be_the_bus(world: World) -> None:
    """It is said at the end, if it is known."""
    plain = refused()
    assert plain.startswith("No system keyring answers here.")
    assert plain == plain.rstrip()
    world.no_bus = "There is no bus."
    assert refused() == f"{plain} There is no bus."
    assert refused("kwallet").endswith("then try again. There is no bus.")


@pytest.mark.parametrize("name", ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring", KWALLET])
def test_where_no_keyring_answers_a_known_one_is_not_blamed(world: World, name: str) -> None:
    """Nor is nothing at all."""
    world.found = backend(name)()
    assert refused().startswith("No system keyring answers here.")


def test_where_no_keyring_answers_a_foreign_one_is_named(world: World) -> None:
    """Alone or in a chain."""
    foreign = backend("keyrings.alt.file.PlaintextKeyring")()
    world.found = foreign
    assert "PlaintextKeyring is refused" in refused()
    chain = backend("keyring.backends.chainer.ChainerBackend")()
    chain.backends = [backend(KWALLET)(), foreign]
    world.found = chain
    assert "PlaintextKeyring is refused" in refused()
    world.found = RuntimeError("no plug-ins")
    assert refused().startswith("No system keyring answers here.")
