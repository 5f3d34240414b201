"""Requests sealed to the broker: vectors on disk, which the page's tests open too, and all that must not open."""

from __future__ import annotations

import base64
import copy
import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.contracts.sealed import SealedText
from connvault_jupyter.errors import BrokerUnavailable, SealedRequestInvalid, SealingKeyChanged
from connvault_jupyter.vault import sealed_requests
from connvault_jupyter.vault.request_sealing import sealed_request
from connvault_jupyter.vault.sealed_requests import SealedRequests
from tests.support.browser.sealing import padded, sealed
from tests.support.canary import CANARY, found_in

VECTORS = sorted((Path(__file__).parent / "vectors").glob("sealed_request_v*.json"))
CASES = [case for file in VECTORS for case in json.loads(file.read_text())["cases"]]
IDS = [case["name"] for case in CASES]

OPERATION = "vault.unlock"
REQUEST = {"passphrase": CANARY}


def of_vector(case: dict[str, Any]) -> SealedRequests:
    """The holder of a vector's key pair."""
    private = ec.derive_private_key(int(case["private_key"], 16), ec.SECP256R1())
    return SealedRequests(
        randomness=lambda _: base64.urlsafe_b64decode(case["key"]["key_id"] + "=="), generate=lambda: private
    )


def text(opener: SealedRequests, operation: str = OPERATION, request: Any = REQUEST) -> SealedText:
    body = sealed(opener.key().model_dump(), operation, request)
    return SealedText.model_validate(body["sealed"])


@pytest.fixture
def opener() -> SealedRequests:
    return SealedRequests(randomness=os.urandom)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_vector_opens(case: dict[str, Any]) -> None:
    """What a page sealed is what the broker reads; the key is the one that the vector was sealed to."""
    opener = of_vector(case)
    assert opener.key().model_dump() == case["key"]
    opened = opener.open(SealedText.model_validate(case["sealed"]), case["operation"])
    assert opened.decode() == case["plaintext"]
    assert len(opened) % 1024 == 0


@given(request=st.dictionaries(st.text(max_size=9), st.text(max_size=2000), max_size=3))
@settings(max_examples=30, deadline=None)
def test_what_is_sealed_opens(request: dict[str, str]) -> None:
    """Any text, of any length."""
    opener = SealedRequests(randomness=os.urandom)
    assert opener.open(text(opener, request=request), OPERATION) == padded(request)


def test_a_text_of_another_operation_does_not_open(opener: SealedRequests) -> None:
    """A passphrase that was to unlock is not used to change it."""
    with pytest.raises(SealedRequestInvalid):
        opener.open(text(opener), "vault.passphrase")


def test_a_text_opens_once(opener: SealedRequests) -> None:
    """Whoever has a copy of what went by has nothing."""
    once = text(opener)
    opener.open(once, OPERATION)
    for _ in range(2):
        with pytest.raises(SealedRequestInvalid):
            opener.open(once, OPERATION)


def test_a_text_that_two_open_at_once_opens_once(
    opener: SealedRequests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second waits until the first has been remembered."""
    once, results = text(opener), []
    decrypt = sealed_requests._plaintext

    def second() -> None:
        try:
            opener.open(once, OPERATION)
            results.append("opened")
        except SealedRequestInvalid:
            results.append("refused")

    other = threading.Thread(target=second)

    def first(*arguments: Any) -> bytes:
        if other.ident is None:
            other.start()
            other.join(0.2)
        return decrypt(*arguments)

    monkeypatch.setattr(sealed_requests, "_plaintext", first)
    opener.open(once, OPERATION)
    other.join()
    assert results == ["refused"]


def test_a_text_spelt_in_another_way_is_the_same_text(opener: SealedRequests) -> None:
    """Base64 leaves bits unused at its end: another spelling is no other text."""
    once = text(opener)
    opener.open(once, OPERATION)
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = letters[letters.index(once.enc[-2]) | 1]
    respelt = once.model_copy(update={"enc": f"{once.enc[:-2]}{last}="})
    assert respelt.enc != once.enc
    assert base64.b64decode(respelt.enc) == base64.b64decode(once.enc)
    with pytest.raises(SealedRequestInvalid):
        opener.open(respelt, OPERATION)


def test_a_text_to_a_key_of_before_says_that_the_key_changed(opener: SealedRequests) -> None:
    """The page fetches the new one; the text itself is of no use to the new one."""
    old = text(SealedRequests(randomness=os.urandom))
    with pytest.raises(SealingKeyChanged):
        opener.open(old, OPERATION)
    with pytest.raises(SealedRequestInvalid):
        opener.open(old.model_copy(update={"key_id": opener.key().key_id}), OPERATION)


def test_a_full_memory_changes_the_key_and_forgets_nothing() -> None:
    """What was opened before stays of no use."""
    opener = SealedRequests(randomness=os.urandom, max_opened=3)
    before = opener.key()
    texts = [text(opener) for _ in range(4)]
    for one in texts[:3]:
        opener.open(one, OPERATION)
    assert opener.key().key_id != before.key_id
    assert opener.key().public_key != before.public_key
    for one in texts:
        with pytest.raises(SealingKeyChanged):
            opener.open(one, OPERATION)
    opener.open(text(opener), OPERATION)


def test_what_did_not_open_is_not_remembered(opener: SealedRequests) -> None:
    """Rubbish neither fills the memory nor spoils a good text."""
    good = text(opener)
    for operation in ("vault.setup", "vault.passphrase"):
        with pytest.raises(SealedRequestInvalid):
            opener.open(good, operation)
    opener.open(good, OPERATION)


@pytest.mark.parametrize("part", ["enc", "ciphertext"])
def test_a_text_with_any_bit_changed_does_not_open(opener: SealedRequests, part: str) -> None:
    """The first, a middle and the last byte of each part."""
    good = text(opener)
    raw = base64.b64decode(getattr(good, part))
    for at in (0, len(raw) // 2, len(raw) - 1):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        with pytest.raises(SealedRequestInvalid):
            opener.open(
                good.model_copy(update={part: base64.b64encode(changed).decode()}),
                OPERATION,
            )


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 100])
def test_a_text_cut_short_does_not_open(opener: SealedRequests, length: int) -> None:
    """Whatever is left of it."""
    good = text(opener)
    cut = base64.b64encode(base64.b64decode(good.ciphertext)[:length]).decode()
    with pytest.raises(SealedRequestInvalid):
        opener.open(good.model_copy(update={"ciphertext": cut}), OPERATION)


def test_no_base64_does_not_open(opener: SealedRequests) -> None:
    """Its letters alone do not make it one."""
    with pytest.raises(SealedRequestInvalid):
        opener.open(text(opener).model_copy(update={"ciphertext": "A" * 33}), OPERATION)


def test_the_length_does_not_tell_the_secrets(opener: SealedRequests) -> None:
    """A passphrase of one character and one of 900 look alike."""
    lengths = {len(text(opener, request={"passphrase": "x" * n}).ciphertext) for n in (1, 10, 100, 900)}
    assert len(lengths) == 1


def test_a_refusal_holds_nothing_of_the_text(opener: SealedRequests) -> None:
    """No message, no cause."""
    good = text(opener)
    opener.open(good, OPERATION)
    with pytest.raises(SealedRequestInvalid) as found:
        opener.open(good, OPERATION)
    assert not found_in(repr(found.value) + str(found.value.details))
    assert found.value.__cause__ is None


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_the_key_is_not_copied_and_not_shown(opener: SealedRequests, copied: Any) -> None:
    """It lives in one place."""
    with pytest.raises(TypeError):
        copied(opener)
    assert repr(opener) == "<SealedRequests>"


def test_a_command_seals_as_the_page_does(opener: SealedRequests) -> None:
    """Padded alike, bound to its operation, and each time under another key."""
    key = opener.key().model_dump()
    one, other = (sealed_request(key, OPERATION, REQUEST) for _ in range(2))
    assert one["sealed"]["enc"] != other["sealed"]["enc"]
    opened = opener.open(SealedText.model_validate(one["sealed"]), OPERATION)
    assert opened == padded(REQUEST)
    assert not found_in(json.dumps(one))
    with pytest.raises(SealedRequestInvalid):
        opener.open(SealedText.model_validate(other["sealed"]), "vault.rotate")


@pytest.mark.parametrize(
    "change",
    [{"suite": "another"}, {"public_key": "AAAA"}, {"public_key": None}, {"public_key": "A" * 87 + "="}],
)
def test_a_command_seals_to_no_other_key(opener: SealedRequests, change: dict[str, Any]) -> None:
    """What the server sends may be anything."""
    with pytest.raises(BrokerUnavailable):
        sealed_request({**opener.key().model_dump(), **change}, OPERATION, REQUEST)
