"""What a slot's secret is for, and that a wrapped master key is bound to its place."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from connvault_jupyter.errors import SecretInvalid
from connvault_jupyter.vault.slot_keys import WRAPPED_BYTES, X25519SlotKeys

VECTORS = Path(__file__).parent / "vectors" / "slot_keys_v1.json"

KEYS = X25519SlotKeys()
SECRET, MASTER, PLACE = b"s" * 32, b"m" * 32, b'{"slot":"s","vault":"v"}'


def wrapped() -> bytes:
    return KEYS.wrap(MASTER, KEYS.public_key(SECRET, PLACE), PLACE, 7)


def test_a_wrapped_key_comes_out_with_the_secret_alone() -> None:
    """Each time it is wrapped anew, and as long as documented."""
    one, other = wrapped(), wrapped()
    assert one != other
    assert {len(one), len(other)} == {WRAPPED_BYTES}
    assert KEYS.unwrap(one, SECRET, PLACE, 7) == KEYS.unwrap(other, SECRET, PLACE, 7) == MASTER


@pytest.mark.parametrize(
    ("secret", "place", "generation"),
    [(b"t" * 32, PLACE, 7), (SECRET, b'{"slot":"t","vault":"v"}', 7), (SECRET, PLACE, 8), (SECRET, b"", 7)],
)
def test_elsewhere_it_does_not_come_out(secret: bytes, place: bytes, generation: int) -> None:
    """Another secret, vault, slot or generation."""
    with pytest.raises(SecretInvalid):
        KEYS.unwrap(wrapped(), secret, place, generation)


def test_every_changed_byte_is_noticed() -> None:
    """Also a shortened or longer one, and none at all."""
    good = wrapped()
    bad = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
    # The top bit of an X25519 public key is ignored (RFC 7748 5), but it is part of what is authenticated.
    bad += [good[:31] + bytes([good[31] ^ 0x80]) + good[32:]]
    bad += [good[:-1], good + b"\0", b"", bytes(WRAPPED_BYTES)]
    for one in bad:
        with pytest.raises(SecretInvalid):
            KEYS.unwrap(one, SECRET, PLACE, 7)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), bytes(32), b"\1" + bytes(31)])
def test_nothing_is_wrapped_to_what_is_no_public_key(public: bytes) -> None:
    """Of low order: its shared secret is known to everybody."""
    with pytest.raises(SecretInvalid):
        KEYS.wrap(MASTER, public, PLACE, 7)


def test_a_secret_of_another_length_is_a_mistake() -> None:
    """Nothing is derived from it."""
    for wrong in (b"", bytes(31), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            KEYS.public_key(wrong, PLACE)


def test_a_pin_depends_on_secret_place_and_message() -> None:
    """And is no public key of it."""
    message = secrets.token_bytes(8)
    found = {
        KEYS.pin(SECRET, PLACE, message),
        KEYS.pin(b"t" * 32, PLACE, message),
        KEYS.pin(SECRET, PLACE + b"x", message),
        KEYS.pin(SECRET, PLACE, message + b"x"),
        KEYS.public_key(SECRET, PLACE),
    }
    assert len(found) == 5


def test_the_vectors_still_come_out() -> None:
    """What an earlier version has stored must open for ever."""
    for vector in json.loads(VECTORS.read_text(encoding="utf-8"))["cases"]:
        secret, place = bytes.fromhex(vector["secret"]), vector["place"].encode()
        assert KEYS.public_key(secret, place).hex() == vector["public_key"]
        assert KEYS.pin(secret, place, bytes.fromhex(vector["message"])).hex() == vector["pin"]
        found = KEYS.unwrap(bytes.fromhex(vector["wrapped"]), secret, place, vector["generation"])
        assert found.hex() == vector["master_key"]
