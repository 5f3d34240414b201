"""What all custodians share, with one that keeps keys in a dictionary: lengths, versions, and which errors come out."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from connvault_jupyter.contracts.vault import CustodianKind
from connvault_jupyter.errors import CustodianUnavailable, WrongPassphrase
from connvault_jupyter.services.vault_ports import Availability
from connvault_jupyter.vault.custodian import DAMAGED, MasterKeyCustodian

KEY = bytes(range(32))


class Kept(MasterKeyCustodian):
    """`failure` is raised by everything, if there is one."""

    kind: ClassVar[CustodianKind] = "passphrase"
    parameters_version: ClassVar[int] = 3

    def __init__(self) -> None:
        self.keys: dict[str, bytes] = {}
        self.failure: Exception | None = None

    def availability(self) -> Availability:
        return Availability(available=True, label="Kept", detail="")

    def _fail(self) -> None:
        if self.failure is not None:
            raise self.failure

    def _keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        self._fail()
        self.keys[name] = key
        return {"place": "here", "version": 99}

    def _recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        self._fail()
        return self.keys[name]

    def _forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        self._fail()
        del self.keys[name]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_what_a_custodian_keeps_it_gives_back(kept: Kept) -> None:
    """Until it forgets it. The version is the class's, whatever a subclass says."""
    stored = kept.keep("vault-1", KEY, None)
    assert stored == {"place": "here", "version": 3}
    assert kept.recover("vault-1", stored, None) == KEY
    kept.forget("vault-1", stored)
    assert kept.keys == {}


@pytest.mark.parametrize("key", [b"", KEY[:-1], KEY + b"x"])
def test_a_key_of_another_length_is_not_kept(kept: Kept, key: bytes) -> None:
    """Nor is one given back: whatever it is, it opens nothing."""
    with pytest.raises(ValueError, match="32 bytes"):
        kept.keep("vault-1", key, None)
    assert kept.keys == {}
    kept.keys["vault-1"] = key
    with pytest.raises(CustodianUnavailable) as caught:
        kept.recover("vault-1", {"version": 3}, None)
    assert caught.value.message == DAMAGED


@pytest.mark.parametrize("version", [None, 2, 4, "3", 3.0, True])
def test_parameters_of_another_version_are_refused(kept: Kept, version: Any) -> None:
    """Also those of a newer one, and those that only equal it; nothing is asked for."""
    kept.failure = AssertionError("asked")
    with pytest.raises(CustodianUnavailable) as caught:
        kept.recover("vault-1", {"version": version}, None)
    assert caught.value.message == DAMAGED
    with pytest.raises(CustodianUnavailable):
        kept.recover("vault-1", {}, None)


def test_a_custodian_of_version_one_does_not_take_true_for_it() -> None:
    """They are equal, in Python."""

    class First(Kept):
        parameters_version: ClassVar[int] = 1

    first = First()
    first.keep("vault-1", KEY, None)
    assert first.recover("vault-1", {"version": 1}, None) == KEY
    with pytest.raises(CustodianUnavailable):
        first.recover("vault-1", {"version": True}, None)


def test_an_error_of_the_vaults_own_comes_out_as_it_is(kept: Kept) -> None:
    """It says already what to do."""
    kept.failure = WrongPassphrase("Enter it again.")
    for call in (
        lambda: kept.keep("vault-1", KEY, None),
        lambda: kept.recover("vault-1", {"version": 3}, None),
    ):
        with pytest.raises(WrongPassphrase, match=r"Enter it again\."):
            call()


def test_an_error_of_another_kind_is_named_by_its_type_alone(
    kept: Kept, caplog: pytest.LogCaptureFixture
) -> None:
    """Its text and what is attached to it could hold the key; the log has the type too."""
    kept.failure = LookupError("canary-of-the-key")
    for call in (
        lambda: kept.keep("vault-1", KEY, None),
        lambda: kept.recover("vault-1", {"version": 3}, None),
    ):
        caplog.clear()
        with pytest.raises(CustodianUnavailable) as caught:
            call()
        assert caught.value.details["cause"] == "LookupError"
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
        assert "LookupError" in caplog.text
        assert "canary" not in f"{caught.value!r} {caught.value.details} {caplog.text}"


def test_a_custodian_that_can_not_forget_says_nothing(kept: Kept) -> None:
    """It undoes something that has failed already."""
    kept.failure = LookupError("no such key")
    kept.forget("vault-1", {})


def test_a_custodian_shows_nothing_of_what_it_keeps(kept: Kept) -> None:
    """And can be taken nowhere."""
    kept.keep("vault-1", b"canary-of-a-key-with-32-bytes--!", None)
    assert repr(kept) == "<Kept>"
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="pickled or copied"):
            take(kept)
