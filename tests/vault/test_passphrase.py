"""The passphrase custodian: what opens the vault, what does not, and what an edited row can't make it do."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from connvault_jupyter.errors import CustodianUnavailable, VaultError, WeakPassphrase, WrongPassphrase
from connvault_jupyter.services.vault_ports import MINIMUM_PASSPHRASE_CHARS, Custodian
from connvault_jupyter.vault.conformance import CustodianConformance
from connvault_jupyter.vault.passphrase import PassphraseCustodian

CASES = [
    case
    for file in sorted((Path(__file__).parent / "vectors").glob("passphrase_v*.json"))
    for case in json.loads(file.read_text())["cases"]
]
PASSPHRASE = "correct horse battery"
KEY = bytes(range(32))


class TestPassphraseCustodian(CustodianConformance):
    """The shipped suite."""

    needs_passphrase = True

    def custodian(self) -> Custodian:
        return PassphraseCustodian()


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return dict(PassphraseCustodian().keep("vault-1", KEY, PASSPHRASE))


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_opens(case: dict[str, Any]) -> None:
    """Vaults that earlier versions set up must open for good."""
    found = PassphraseCustodian().recover(case["vault_id"], case["parameters"], case["passphrase"])
    assert found.hex() == case["master_key"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_opens_by_the_description_alone(case: dict[str, Any]) -> None:
    """Another Argon2 implementation and the plain cipher get the same key."""
    from argon2.low_level import Type, hash_secret_raw

    stored = case["parameters"]
    key = hash_secret_raw(
        unicodedata.normalize("NFC", case["passphrase"]).encode(),
        base64.b64decode(stored["salt"]),
        time_cost=3,
        memory_cost=65536,
        parallelism=4,
        hash_len=32,
        type=Type.ID,
    )
    wrapped = base64.b64decode(stored["wrapped"])
    bound = {name: stored[name] for name in ("iterations", "kdf", "lanes", "memory_kib")}
    bound |= {"purpose": "connvault-jupyter v1 master key", "salt": stored["salt"], "vault": case["vault_id"]}
    opener = Cipher(
        algorithms.AES(key), modes.GCM(base64.b64decode(stored["nonce"]), wrapped[-16:])
    ).decryptor()
    opener.authenticate_additional_data(json.dumps(bound, separators=(",", ":")).encode())
    assert (opener.update(wrapped[:-16]) + opener.finalize()).hex() == case["master_key"]


def test_vectors_of_wrapped_keys_are_there() -> None:
    """An empty folder would let everything above pass."""
    assert len(CASES) >= 2


def test_the_stored_costs_are_those_of_the_design(kept: dict[str, Any]) -> None:
    """Argon2id, t=3, 64 MiB, p=4; a fresh salt of 16 bytes."""
    assert (kept["kdf"], kept["iterations"], kept["memory_kib"], kept["lanes"]) == ("argon2id", 3, 65536, 4)
    assert len(base64.b64decode(kept["salt"])) == 16
    again = PassphraseCustodian().keep("vault-1", KEY, PASSPHRASE)
    assert all(again[name] != kept[name] for name in ("salt", "nonce", "wrapped"))


@pytest.mark.parametrize("passphrase", [None, "", "a", "a" * (MINIMUM_PASSPHRASE_CHARS - 1), "e\u0301" * 9])
def test_a_short_passphrase_is_refused(passphrase: str | None) -> None:
    """Fewer than ten characters, counted as a person sees them."""
    with pytest.raises(WeakPassphrase) as caught:
        PassphraseCustodian().keep("vault-1", KEY, passphrase)
    assert str(MINIMUM_PASSPHRASE_CHARS) in str(caught.value)


def test_a_passphrase_that_is_just_long_enough_is_taken() -> None:
    """Ten characters, whichever."""
    custodian = PassphraseCustodian()
    kept = custodian.keep("vault-1", KEY, "\u4e2d" * MINIMUM_PASSPHRASE_CHARS)
    assert custodian.recover("vault-1", kept, "\u4e2d" * MINIMUM_PASSPHRASE_CHARS) == KEY


def test_a_passphrase_typed_on_another_keyboard_opens() -> None:
    """`é` as one character and as two is the same passphrase."""
    custodian = PassphraseCustodian()
    kept = custodian.keep("vault-1", KEY, "caf\u00e9 au lait")
    assert custodian.recover("vault-1", kept, "cafe\u0301 au lait") == KEY


@pytest.mark.parametrize(
    "wrong",
    [PASSPHRASE.upper(), PASSPHRASE + " ", " " + PASSPHRASE, PASSPHRASE[:-1], "\uff43orrect horse battery"],
)
def test_a_nearly_right_passphrase_does_not_open(kept: dict[str, Any], wrong: str) -> None:
    """Case, spaces and look-alikes count: nothing is folded or trimmed."""
    with pytest.raises(WrongPassphrase) as caught:
        PassphraseCustodian().recover("vault-1", kept, wrong)
    assert caught.value.__context__ is None
    assert wrong.strip() not in str(caught.value)


def test_when_a_passphrase_has_lone_surrogates_nothing_breaks() -> None:
    """JSON can carry what UTF-8 can't."""
    custodian = PassphraseCustodian()
    kept = custodian.keep("vault-1", KEY, "\ud800" * 10)
    assert custodian.recover("vault-1", kept, "\ud800" * 10) == KEY


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("memory_kib", 64 * 1024 * 1024),
        ("memory_kib", 512 * 1024 + 1),
        ("memory_kib", 31),
        ("iterations", 17),
        ("iterations", 10**9),
        ("lanes", 17),
        ("lanes", 1 << 24),
        ("kdf", "scrypt"),
        ("kdf", "argon2i"),
        ("version", 2),
        ("version", True),
        ("version", 1.0),
    ],
)
def test_a_row_that_asks_for_too_much_work_is_refused(kept: dict[str, Any], name: str, value: Any) -> None:
    """An edited row can't demand 64 GiB, an hour, or another algorithm."""
    with pytest.raises(CustodianUnavailable):
        PassphraseCustodian().recover("vault-1", {**kept, name: value}, PASSPHRASE)


@pytest.mark.parametrize(("name", "value"), [("memory_kib", 32), ("iterations", 1), ("lanes", 1)])
def test_a_row_with_lowered_costs_does_not_open(kept: dict[str, Any], name: str, value: int) -> None:
    """The stored costs are authenticated: an edited row opens nothing."""
    with pytest.raises(WrongPassphrase):
        PassphraseCustodian().recover("vault-1", {**kept, name: value}, PASSPHRASE)


@pytest.mark.parametrize("name", ["salt", "nonce", "wrapped"])
def test_a_wrapped_key_with_a_flipped_bit_does_not_open(kept: dict[str, Any], name: str) -> None:
    """Salt, nonce and wrapped key each count."""
    damaged = bytearray(base64.b64decode(kept[name]))
    damaged[-1] ^= 1
    row = {**kept, name: base64.b64encode(damaged).decode()}
    with pytest.raises(WrongPassphrase):
        PassphraseCustodian().recover("vault-1", row, PASSPHRASE)


def test_without_a_passphrase_the_error_asks_for_it(kept: dict[str, Any]) -> None:
    """It is no failure of the vault's."""
    with pytest.raises(WrongPassphrase, match="needs its passphrase"):
        PassphraseCustodian().recover("vault-1", kept, None)


@pytest.mark.parametrize(
    ("failure", "words"), [(UnsupportedAlgorithm("argon2"), "no Argon2id"), (MemoryError(), "64 MiB")]
)
def test_when_a_passphrase_can_not_be_stretched_the_error_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, kept: dict[str, Any], failure: Exception, words: str
) -> None:
    """An old build of the library, or a full machine: neither is a wrong passphrase or a damaged vault."""

    def failing(**_costs: Any) -> None:
        raise failure

    monkeypatch.setattr("connvault_jupyter.vault.argon2.Argon2id", failing)
    custodian = PassphraseCustodian()
    for call in (
        lambda: custodian.keep("vault-1", KEY, PASSPHRASE),
        lambda: custodian.recover("vault-1", kept, PASSPHRASE),
    ):
        with pytest.raises(CustodianUnavailable, match=words):
            call()


def test_without_argon2_the_custodian_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says what to install."""
    assert PassphraseCustodian().availability().available

    def missing(**_costs: Any) -> None:
        raise UnsupportedAlgorithm("argon2")

    monkeypatch.setattr("connvault_jupyter.vault.argon2.Argon2id", missing)
    found = PassphraseCustodian().availability()
    assert (found.available, found.label) == (False, "Passphrase")
    assert "Install cryptography" in found.detail


def test_unlocks_are_serialised(monkeypatch: pytest.MonkeyPatch, kept: dict[str, Any]) -> None:
    """Each takes 64 MiB, so that four at once must not take 256."""
    running, most, guard = 0, 0, threading.Lock()

    def counted(**costs: Any) -> Any:
        stretch = Argon2id(**costs)

        class Watched:
            def derive(self, material: bytes) -> bytes:
                nonlocal running, most
                with guard:
                    running += 1
                    most = max(most, running)
                try:
                    return stretch.derive(material)
                finally:
                    with guard:
                        running -= 1

        return Watched()

    monkeypatch.setattr("connvault_jupyter.vault.argon2.Argon2id", counted)
    custodian = PassphraseCustodian()
    threads = [
        threading.Thread(target=custodian.recover, args=("vault-1", kept, PASSPHRASE)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_errors_never_hold_the_passphrase(kept: dict[str, Any]) -> None:
    """Neither message, nor details, nor anything attached."""
    canary = f"canary-{secrets.token_hex(8)}"
    custodian = PassphraseCustodian()
    for call in (
        lambda: custodian.recover("vault-1", kept, canary),
        lambda: custodian.recover("vault-1", {}, canary),
        lambda: custodian.keep("vault-1", KEY, canary[:5]),
    ):
        with pytest.raises(VaultError) as caught:
            call()
        assert canary[:5] not in f"{caught.value!r} {caught.value.details} {caught.value.__context__!r}"
