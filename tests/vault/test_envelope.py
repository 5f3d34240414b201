"""The envelope of a sealed secret, against vectors on disk and against an oracle that shares no code with it."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import hmac
import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.errors import SecretInvalid
from connvault_jupyter.services.vault_ports import SealContext
from connvault_jupyter.vault.envelope import check_value, derive_keys

VECTORS = sorted((Path(__file__).parent / "vectors").glob("envelope_v*.json"))
CASES = [case for file in VECTORS for case in json.loads(file.read_text())["cases"]]
IDS = [case["name"] for case in CASES]
KEY = bytes(range(32))
CONTEXT = SealContext(
    vault_id="vault-1",
    scope="user",
    connection_id="connection-1",
    field="password",
    provider_id="postgresql",
    destination={"host": "db.internal", "port": 5432, "sslmode": "require"},
)


def hkdf(key: bytes, salt: bytes, info: bytes) -> bytes:
    """RFC 5869 by hand, for 32 bytes."""
    extracted = hmac.new(salt, key, hashlib.sha256).digest()
    return hmac.new(extracted, info + b"\x01", hashlib.sha256).digest()


def oracle_key(master_key: bytes, vault_id: str, info: bytes) -> bytes:
    return hkdf(master_key, hashlib.sha256(vault_id.encode()).digest(), info)


def oracle_open(master_key: bytes, envelope: bytes, context: dict[str, Any]) -> bytes:
    """The envelope opened from its description alone, with the plain cipher instead of the AEAD interface."""
    key = oracle_key(master_key, context["vault_id"], b"connvault-jupyter v1 seal secrets")
    header, nonce, sealed, tag = envelope[:2], envelope[2:14], envelope[14:-16], envelope[-16:]
    assert header == b"\x01\x00"
    parts = [
        ("connection", context["connection_id"]),
        ("destination", dict(sorted(context["destination"].items()))),
        ("field", context["field"]),
        ("provider", context["provider_id"]),
        ("scope", context["scope"]),
        ("vault", context["vault_id"]),
    ]
    text = ",".join(
        f'"{name}":{json.dumps(value, ensure_ascii=False, separators=(",", ":"))}' for name, value in parts
    )
    opener = Cipher(algorithms.AES(key), modes.GCM(nonce, tag)).decryptor()
    opener.authenticate_additional_data(header + ("{" + text + "}").encode())
    return opener.update(sealed) + opener.finalize()


def test_the_oracle_is_hkdf() -> None:
    """RFC 5869 A.1, cut to 32 bytes: the oracle itself is right."""
    found = hkdf(b"\x0b" * 22, bytes(range(13)), bytes(range(0xF0, 0xFA)))
    assert found.hex() == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf"


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_opens(case: dict[str, Any]) -> None:
    """Envelopes that earlier versions wrote must open for good."""
    keys = derive_keys(bytes.fromhex(case["master_key"]), case["context"]["vault_id"])
    opened = keys.unseal(bytes.fromhex(case["envelope"]), SealContext(**case["context"]))
    assert opened.hex() == case["secret"]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_is_written_again(case: dict[str, Any]) -> None:
    """With the vector's nonce, the same bytes come out: the format did not drift."""
    keys = derive_keys(
        bytes.fromhex(case["master_key"]),
        case["context"]["vault_id"],
        random=lambda length: bytes.fromhex(case["nonce"])[:length],
    )
    sealed = keys.seal(bytes.fromhex(case["secret"]), SealContext(**case["context"]))
    assert sealed.hex() == case["envelope"]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_opens_by_the_description_alone(case: dict[str, Any]) -> None:
    """Somebody who has only read the format gets the same secret."""
    opened = oracle_open(bytes.fromhex(case["master_key"]), bytes.fromhex(case["envelope"]), case["context"])
    assert opened.hex() == case["secret"]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_has_its_macs(case: dict[str, Any]) -> None:
    """Stored grants, the audit chain and the check value verify for good."""
    master_key, vault_id = bytes.fromhex(case["master_key"]), case["context"]["vault_id"]
    keys, message = derive_keys(master_key, vault_id), bytes.fromhex(case["message"])
    assert keys.mac("grant", message).hex() == case["mac_grant"]
    assert keys.mac("audit", message).hex() == case["mac_audit"]
    assert check_value(master_key, vault_id).hex() == case["check"]


@pytest.mark.parametrize(
    ("name", "info"),
    [
        ("mac_grant", b"connvault-jupyter v1 mac grants"),
        ("mac_audit", b"connvault-jupyter v1 mac audit"),
        ("check", b"connvault-jupyter v1 check value"),
    ],
)
@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_mac_follows_from_its_description(case: dict[str, Any], name: str, info: bytes) -> None:
    """HMAC-SHA256 under HKDF keys, by hand."""
    vault_id = case["context"]["vault_id"]
    key = oracle_key(bytes.fromhex(case["master_key"]), vault_id, info)
    message = vault_id.encode() if name == "check" else bytes.fromhex(case["message"])
    assert hmac.new(key, message, hashlib.sha256).hexdigest() == case[name]


def test_vectors_of_envelopes_are_there() -> None:
    """An empty folder would let everything above pass."""
    assert len(CASES) >= 4


# What a destination may hold, and what other values a careless encoding could take for the same.
values = st.one_of(
    st.text(max_size=12), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)  # fmt: skip
names = st.text(st.characters(categories=["Ll", "Nd"]), min_size=1, max_size=8)
contexts = st.builds(
    SealContext,
    vault_id=st.text(max_size=8),
    scope=st.sampled_from(["user", "workspace"]),
    connection_id=st.text(max_size=8),
    field=st.text(max_size=8),
    provider_id=st.text(max_size=8),
    destination=st.dictionaries(names, values, max_size=4),
)


@given(secret=st.binary(max_size=300), context=contexts)
def test_what_was_sealed_opens_again(secret: bytes, context: SealContext) -> None:
    """Every byte string and every context goes round."""
    keys = derive_keys(KEY, "vault-1")
    assert keys.unseal(keys.seal(secret, context), context) == secret


@settings(max_examples=300)
@given(one=contexts, other=contexts)
def test_an_envelope_does_not_open_in_another_context(one: SealContext, other: SealContext) -> None:
    """Two contexts that are not the same never open each other's envelopes."""
    keys = derive_keys(KEY, "vault-1")
    if _same(one, other):
        assert keys.unseal(keys.seal(b"secret", one), other) == b"secret"
    else:
        with pytest.raises(SecretInvalid):
            keys.unseal(keys.seal(b"secret", one), other)


def _same(one: SealContext, other: SealContext) -> bool:
    def typed(context: SealContext) -> dict[str, Any]:
        found = dataclasses.asdict(context)
        found["destination"] = {name: (type(v), repr(v)) for name, v in context.destination.items()}
        return found

    return typed(one) == typed(other)


OTHER_CONTEXTS = {
    "vault": dataclasses.replace(CONTEXT, vault_id="vault-2"),
    "scope": dataclasses.replace(CONTEXT, scope="workspace"),
    "connection": dataclasses.replace(CONTEXT, connection_id="connection-2"),
    "field": dataclasses.replace(CONTEXT, field="token"),
    "provider": dataclasses.replace(CONTEXT, provider_id="http"),
    "swapped": dataclasses.replace(CONTEXT, field="postgresql", provider_id="password"),
    **{
        f"destination {name}": dataclasses.replace(CONTEXT, destination=destination)
        for name, destination in {
            "host": {**CONTEXT.destination, "host": "db.evil"},
            "port": {**CONTEXT.destination, "port": 5433},
            "port as text": {**CONTEXT.destination, "port": "5432"},
            "port as float": {**CONTEXT.destination, "port": 5432.0},
            "TLS mode": {**CONTEXT.destination, "sslmode": "disable"},
            "shrunk": {"host": "db.internal", "port": 5432},
            "grown": {**CONTEXT.destination, "ca_certificate": ""},
            "null added": {**CONTEXT.destination, "ca_certificate": None},
            "renamed": {"hosts": "db.internal", "port": 5432, "sslmode": "require"},
            "empty": {},
            "quotes": {"host": 'db.internal","port":5432,"sslmode":"require'},
        }.items()
    },
}


@pytest.mark.parametrize("other", OTHER_CONTEXTS.values(), ids=OTHER_CONTEXTS)
def test_an_envelope_does_not_open_after_any_change_of_its_context(other: SealContext) -> None:
    """Each part of the context binds, and so do the types of the destination's values."""
    keys = derive_keys(KEY, "vault-1")
    with pytest.raises(SecretInvalid):
        keys.unseal(keys.seal(b"secret", CONTEXT), other)


def test_an_envelope_opens_whatever_order_the_fields_have() -> None:
    """A mapping has no order."""
    keys = derive_keys(KEY, "vault-1")
    turned = dataclasses.replace(CONTEXT, destination=dict(reversed(list(CONTEXT.destination.items()))))
    assert keys.unseal(keys.seal(b"secret", CONTEXT), turned) == b"secret"


def test_lone_surrogates_are_not_the_character_they_spell() -> None:
    """A careless encoding makes these two names one."""
    keys = derive_keys(KEY, "vault-1")
    one = dataclasses.replace(CONTEXT, destination={"host": "\U0001f600"})
    other = dataclasses.replace(CONTEXT, destination={"host": "\ud83d\ude00"})
    with pytest.raises(SecretInvalid):
        keys.unseal(keys.seal(b"secret", one), other)


def test_an_envelope_with_any_bit_flipped_does_not_open() -> None:
    """Version, lengths, nonce, ciphertext and tag: every single bit counts."""
    keys = derive_keys(KEY, "vault-1")
    sealed = keys.seal(b"a secret", CONTEXT)
    for position in range(len(sealed) * 8):
        damaged = bytearray(sealed)
        damaged[position // 8] ^= 1 << (position % 8)
        with pytest.raises(SecretInvalid):
            keys.unseal(bytes(damaged), CONTEXT)


@pytest.mark.parametrize("length", range(60))
def test_an_envelope_that_was_cut_or_prolonged_does_not_open(length: int) -> None:
    """No length but the right one is accepted."""
    keys = derive_keys(KEY, "vault-1")
    sealed = keys.seal(b"a secret", CONTEXT)
    wrong = (sealed + bytes(60))[:length]
    if length == len(sealed):
        assert keys.unseal(wrong, CONTEXT) == b"a secret"
    else:
        with pytest.raises(SecretInvalid):
            keys.unseal(wrong, CONTEXT)


@given(noise=st.binary(max_size=200))
def test_noise_does_not_open(noise: bytes) -> None:
    """Whatever is in the row: one typed error."""
    keys = derive_keys(KEY, "vault-1")
    for envelope in (noise, b"\x01\x00" + noise):
        with pytest.raises(SecretInvalid):
            keys.unseal(envelope, CONTEXT)


def test_an_envelope_does_not_open_under_another_key() -> None:
    """Another master key, and the same master key for another vault."""
    sealed = derive_keys(KEY, "vault-1").seal(b"secret", CONTEXT)
    for keys in (derive_keys(bytes(32), "vault-1"), derive_keys(KEY, "vault-2")):
        with pytest.raises(SecretInvalid):
            keys.unseal(sealed, CONTEXT)


def test_an_envelope_that_does_not_open_tells_no_cause() -> None:
    """The error is the same whatever differs, and nothing hangs on it."""
    keys = derive_keys(KEY, "vault-1")
    sealed = keys.seal(b"secret", CONTEXT)
    texts = set()
    for envelope, context in (
        (b"", CONTEXT),
        (sealed[:-1], CONTEXT),
        (b"\x02" + sealed[1:], CONTEXT),
        (sealed, OTHER_CONTEXTS["scope"]),
    ):
        with pytest.raises(SecretInvalid) as caught:
            keys.unseal(envelope, context)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        texts.add(str(caught.value))
    assert len(texts) == 1


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), object(), b"bytes"], ids=["nan", "inf", "object", "bytes"]
)
def test_a_context_without_canonical_form_is_not_sealed(value: Any) -> None:
    """What can't be bound for certain is refused."""
    with pytest.raises(SecretInvalid):
        derive_keys(KEY, "vault-1").seal(b"x", dataclasses.replace(CONTEXT, destination={"host": value}))


def test_nonces_never_repeat() -> None:
    """The same secret sealed 20,000 times: as many nonces, and as many envelopes."""
    keys = derive_keys(KEY, "vault-1")
    sealed = [keys.seal(b"secret", CONTEXT) for _ in range(20_000)]
    assert len({envelope[2:14] for envelope in sealed}) == len(sealed)
    assert len(set(sealed)) == len(sealed)


@given(message=st.binary(max_size=200))
def test_macs_of_two_purposes_differ(message: bytes) -> None:
    """A grant's MAC can't be passed off as an audit row's."""
    keys = derive_keys(KEY, "vault-1")
    assert keys.mac("grant", message) != keys.mac("audit", message)
    assert len(keys.mac("grant", message)) == 32


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_master_key_of_another_length_is_refused(length: int) -> None:
    """A short key would work, weakly."""
    with pytest.raises(ValueError, match="32 bytes"):
        derive_keys(bytes(length), "vault-1")
    with pytest.raises(ValueError, match="32 bytes"):
        check_value(bytes(length), "vault-1")


def test_keys_show_nothing_and_stay_where_they_are() -> None:
    """No repr, no vars, no pickle, no copy."""
    keys = derive_keys(KEY, "vault-1")
    assert repr(keys) == str(keys) == f"{keys}" == "<VaultKeys>"
    assert not hasattr(keys, "__dict__")
    for take in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            take(keys)
