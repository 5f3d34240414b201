"""Keys of one vault after another: what a change of keys takes over, and what it keeps of older ones."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
from pathlib import Path
from typing import Any, get_args

import pytest

from connvault_jupyter.errors import SecretInvalid
from connvault_jupyter.services.ports import Position
from connvault_jupyter.services.vault_ports import MacPurpose, SealContext
from connvault_jupyter.vault.envelope import VaultKeys, check_value, derive_keys

VECTORS = sorted((Path(__file__).parent / "vectors").glob("generations_v*.json"))
CASES = [case for file in VECTORS for case in json.loads(file.read_text())["cases"]]
IDS = [case["name"] for case in CASES]
MAC_PURPOSES: tuple[MacPurpose, ...] = get_args(MacPurpose)

KEY = bytes(range(32))
CONTEXT = SealContext(
    vault_id="vault-1",
    scope="user",
    connection_id="connection-1",
    field="password",
    provider_id="postgresql",
    destination={"host": "db.internal", "port": 5432, "sslmode": "require"},
)


def vector(case: dict[str, Any], which: str) -> VaultKeys:
    """The keys of this generation of the case, whose nonces are the vector's."""
    return derive_keys(
        bytes.fromhex(case["master_key"]),
        case["context"]["vault_id"],
        bytes.fromhex(case[which]),
        random=lambda length: bytes.fromhex(case["nonce"])[:length],
    )


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_of_a_generation_has_its_keys(case: dict[str, Any]) -> None:
    """Check value, every MAC, a secret and a claim, as they lie in vaults whose keys were changed."""
    master_key, epoch = bytes.fromhex(case["master_key"]), bytes.fromhex(case["epoch"])
    context, message = SealContext(**case["context"]), bytes.fromhex(case["message"])
    keys = vector(case, "epoch")
    assert check_value(master_key, context.vault_id, epoch).hex() == case["check"]
    assert {name: keys.mac(name, message).hex() for name in MAC_PURPOSES} == case["macs"]
    assert keys.seal(bytes.fromhex(case["secret"]), context).hex() == case["envelope"]
    assert keys.seal_claim(message, b"reason").hex() == case["claim"]
    assert keys.generation == case["generation"]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_that_was_taken_over_opens_and_is_written_again(case: dict[str, Any]) -> None:
    """The envelope of older keys that a change could not open."""
    older, keys, context = vector(case, "older_epoch"), vector(case, "epoch"), SealContext(**case["context"])
    secret = bytes.fromhex(case["secret"])
    assert keys.unseal(bytes.fromhex(case["taken_over"]), context) == secret
    assert keys.wrap(older, older.seal(secret, context), context).hex() == case["taken_over"]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_of_kept_keys_opens_and_is_written_again(case: dict[str, Any]) -> None:
    """What verifies the record of before a change of keys, and where that record ended."""
    older, keys, vault_id = vector(case, "older_epoch"), vector(case, "epoch"), case["context"]["vault_id"]
    ended = Position(case["ended"][0], bytes.fromhex(case["ended"][1]))
    kept = keys.record_keys(bytes.fromhex(case["kept"]), older.generation, vault_id)
    assert (kept.kept, kept.ended) == (older.kept, ended)
    assert keys.keep_record(older, vault_id, ended).hex() == case["kept"]


def test_vectors_of_generations_are_there() -> None:
    """An empty folder would let everything above pass."""
    assert len(CASES) >= 2


def test_keys_without_an_epoch_are_the_first_generation() -> None:
    """Vaults from before there were generations have none."""
    assert derive_keys(KEY, "vault-1").generation == 1


def test_an_envelope_that_was_taken_over_and_cut_does_not_open() -> None:
    """At any length, a nonce that is too short included: for a use, and for the next change of keys."""
    older, newer, newest = (derive_keys(KEY, "vault-1", epoch(number)) for number in (2, 3, 4))
    envelope = newer.wrap(older, older.seal(b"secret", CONTEXT), CONTEXT)
    for length in range(len(envelope)):
        with pytest.raises(SecretInvalid):
            newer.unseal(envelope[:length], CONTEXT)
    for wrong in (envelope[:10], b"\3" + envelope[1:], envelope[:1] + b"\0" + envelope[2:]):
        with pytest.raises(SecretInvalid):
            newest.wrap(newer, wrong, CONTEXT)


def test_an_envelope_of_which_only_the_header_is_left_is_taken_over_each_time() -> None:
    """It opens nothing, and stands in the way of no change of keys."""
    generations = [derive_keys(KEY, "vault-1", epoch(number)) for number in (2, 3, 4)]
    envelope = b"\1\0"
    for older, newer in itertools.pairwise(generations):
        envelope = newer.wrap(older, envelope, CONTEXT)
        with pytest.raises(SecretInvalid):
            newer.unseal(envelope, CONTEXT)


def test_a_field_with_a_lone_surrogate_is_taken_over() -> None:
    """A provider's file can name one so."""
    older, newer = derive_keys(KEY, "vault-1", epoch(2)), derive_keys(KEY, "vault-1", epoch(3))
    context = dataclasses.replace(CONTEXT, field="\ud83d")
    assert newer.unseal(newer.wrap(older, older.seal(b"secret", context), context), context) == b"secret"


def test_only_keys_of_a_vault_are_taken_over_or_kept() -> None:
    """Kept ones seal nothing, so there is nothing to take over from them."""
    first, second = derive_keys(KEY, "vault-1", epoch(2)), derive_keys(KEY, "vault-1", epoch(3))
    kept: Any = second.record_keys(second.keep_record(first, "vault-1", None), 2, "vault-1")
    stranger: Any = object()
    with pytest.raises(TypeError, match="not keys of a vault"):
        second.wrap(kept, first.seal(b"secret", CONTEXT), CONTEXT)
    with pytest.raises(TypeError, match="not keys of a vault"):
        second.keep_record(stranger, "vault-1", None)


def test_an_envelope_that_is_taken_over_opens_under_the_new_keys_alone() -> None:
    """In the context it was sealed for, through several changes, and not with one bit changed or in another place."""
    generations = [derive_keys(KEY, "vault-1", epoch(number)) for number in (2, 3, 4)]
    envelope = generations[0].seal(b"secret", CONTEXT)
    anywhere = dataclasses.replace(CONTEXT, destination={})
    for older, newer in itertools.pairwise(generations):
        envelope = newer.wrap(older, envelope, anywhere)
        assert newer.unseal(envelope, CONTEXT) == b"secret"
        for wrong in (
            anywhere,
            dataclasses.replace(CONTEXT, field="f"),
            dataclasses.replace(CONTEXT, connection_id="x"),
        ):
            with pytest.raises(SecretInvalid):
                newer.unseal(envelope, wrong)
        with pytest.raises(SecretInvalid):
            older.unseal(envelope, CONTEXT)
        for at in range(len(envelope)):
            changed = bytearray(envelope)
            changed[at] ^= 1
            with pytest.raises(SecretInvalid):
                newer.unseal(bytes(changed), CONTEXT)
    other = generations[0].seal(b"another", CONTEXT)
    with pytest.raises(SecretInvalid):
        generations[-1].unseal(envelope[:62] + other[2:], CONTEXT)
    with pytest.raises(SecretInvalid):
        generations[0].wrap(generations[1], b"\0damaged", CONTEXT)


def test_kept_keys_verify_and_read_the_record_and_nothing_else() -> None:
    """Of their generation and vault, through several changes."""
    first, second, third = (derive_keys(KEY, "vault-1", epoch(number)) for number in (2, 3, 4))
    claim = first.seal_claim(b"monthly report", b"reason")
    end = Position(7, b"d" * 32)
    kept = second.record_keys(second.keep_record(first, "vault-1", None), 2, "vault-1")
    again = third.record_keys(third.keep_record(kept, "vault-1", end), 2, "vault-1")
    assert (kept.ended, again.ended) == (None, end)
    for keys in (kept, again):
        assert keys.generation == 2
        assert keys.unseal_claim(claim, b"reason") == b"monthly report"
        assert keys.mac("audit", b"row") == first.mac("audit", b"row")
        assert keys.mac("claim", b"row") == first.mac("claim", b"row")
        for purpose in ("grant", "document"):
            with pytest.raises(KeyError):
                keys.mac(purpose, b"row")
        assert repr(keys) == "<OlderKeys>"
        with pytest.raises(TypeError):
            pickle.dumps(keys)
    envelope = second.keep_record(first, "vault-1", end)
    for generation, vault_id in ((3, "vault-1"), (2, "vault-2")):
        with pytest.raises(SecretInvalid):
            second.record_keys(envelope, generation, vault_id)


def test_another_generation_or_salt_has_other_keys_and_another_check_value() -> None:
    """From the same master key: an old description that is put back opens nothing."""
    epochs = [b"", epoch(2), epoch(3), epoch(2, salt=b"other salt" * 4)]
    assert len({check_value(KEY, "vault-1", one) for one in epochs}) == len(epochs)
    for purpose in ("grant", "audit", "document", "claim"):
        macs = {derive_keys(KEY, "vault-1", one).mac(purpose, b"m") for one in epochs}
        assert len(macs) == len(epochs)


def epoch(generation: int, *, salt: bytes = bytes(32)) -> bytes:
    return generation.to_bytes(8, "big") + salt
