"""The file of exported connections: what opens it, and what each wrong file is called."""

from __future__ import annotations

import base64
import hashlib
import json
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from connvault_jupyter.contracts.transfer import MAX_FILE_CHARS
from connvault_jupyter.errors import ExportFileInvalid, ExportTooLarge, WeakPassphrase, WrongPassphrase
from connvault_jupyter.vault.argon2 import COSTS
from connvault_jupyter.vault.export_file import MAX_CONTENT_BYTES, Argon2ExportFiles
from tests.support.services.service_world import CHEAP

VECTORS = Path(__file__).parent / "vectors" / "export_file_v1.json"
CASES: list[dict[str, Any]] = json.loads(VECTORS.read_text())["cases"]

PASSPHRASE = "correct horse battery"
CONTENT = b'{"connections":[]}'

FILES = Argon2ExportFiles(costs=CHEAP)


@pytest.fixture(scope="module")
def text() -> str:
    return FILES.sealed(CONTENT, PASSPHRASE)


def with_digest(body: str) -> str:
    """As somebody writes it who knows the format."""
    return f"{body}{hashlib.sha256(body.encode()).hexdigest()}\n"


def with_header(text: str, **changes: Any) -> str:
    first, header, sealed, _ = text.split("\n", 3)
    changed = json.dumps({**json.loads(header), **changes}, sort_keys=True, separators=(",", ":"))
    return with_digest(f"{first}\n{changed}\n{sealed}\n")


def reason(text: str, passphrase: str = PASSPHRASE) -> str:
    with pytest.raises(ExportFileInvalid) as caught:
        FILES.opened(text, passphrase)
    assert caught.value.__context__ is None
    return str(caught.value.details["reason"])


def test_a_file_opens_with_its_passphrase_alone(text: str) -> None:
    """Each is sealed anew, and says in its first line what it is."""
    assert FILES.opened(text, PASSPHRASE) == CONTENT
    assert text.startswith("connvault-jupyter export 1\n")
    again = FILES.sealed(CONTENT, PASSPHRASE)
    assert not set(again.splitlines()[1:]) & set(text.splitlines()[1:])
    for wrong in ("", PASSPHRASE + " ", PASSPHRASE.upper()):
        with pytest.raises(WrongPassphrase) as caught:
            FILES.opened(text, wrong)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_opens(case: dict[str, Any]) -> None:
    """Files that earlier versions wrote must open for good."""
    assert FILES.opened(case["file"], case["passphrase"]).hex() == case["content"]
    with pytest.raises(WrongPassphrase):
        FILES.opened(case["file"], case["passphrase"] + "x")


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_vector_opens_by_the_description_alone(case: dict[str, Any]) -> None:
    """Another Argon2 implementation, HKDF by hand and the plain cipher."""
    from argon2.low_level import Type, hash_secret_raw

    first, header, sealed, digest, _ = case["file"].split("\n")
    stored = json.loads(header)
    key = hash_secret_raw(
        unicodedata.normalize("NFC", case["passphrase"]).encode(),
        base64.b64decode(stored["salt"]),
        time_cost=stored["iterations"],
        memory_cost=stored["memory_kib"],
        parallelism=stored["lanes"],
        hash_len=32,
        type=Type.ID,
    )

    def derived(info: bytes) -> bytes:
        # RFC 5869: one block is all.
        extracted = _hmac(bytes(32), key)
        return _hmac(extracted, info + b"\1")

    assert derived(b"connvault-jupyter v1 export file verifier") == base64.b64decode(stored["verifier"])
    ciphertext = base64.b64decode(sealed)
    cipher = algorithms.AES(derived(b"connvault-jupyter v1 export file"))
    opener = Cipher(cipher, modes.GCM(base64.b64decode(stored["nonce"]), ciphertext[-16:])).decryptor()
    opener.authenticate_additional_data(f"{first}\n{header}\n".encode())
    padded = opener.update(ciphertext[:-16]) + opener.finalize()
    assert len(padded) % 1024 == 0
    assert zlib.decompressobj().decompress(padded).hex() == case["content"]
    assert hashlib.sha256(f"{first}\n{header}\n{sealed}\n".encode()).hexdigest() == digest


def _hmac(key: bytes, message: bytes) -> bytes:
    import hmac

    return hmac.digest(key, message, "sha256")


def test_a_new_file_has_the_costs_of_the_design() -> None:
    """As a vault's passphrase: t=3, 64 MiB, p=4."""
    header = json.loads(Argon2ExportFiles().sealed(CONTENT, PASSPHRASE).splitlines()[1])
    assert {name: header[name] for name in COSTS} == COSTS
    assert header["kdf"] == "argon2id"


def test_every_changed_character_is_noticed(text: str) -> None:
    """Before any key is derived; in the first line it is perhaps another kind of file; without its
    line end, a part of one."""
    first = text.index("\n")
    for at, char in enumerate(text):
        changed = text[:at] + ("B" if char == "A" else "A") + text[at + 1 :]
        expected = "truncated" if char == "\n" else "changed"
        assert reason(changed) == ("foreign" if at <= first else expected), at


def test_every_cut_is_noticed(text: str) -> None:
    """What is left of a file that was copied in part."""
    first = text.index("\n")
    for length in range(first + 1, len(text)):
        assert reason(text[:length]) == "truncated", length


WRONG: dict[str, tuple[Callable[[str], str], str]] = {
    "empty": (lambda _: "", "foreign"),
    "something else": (lambda _: '{"connections": []}', "foreign"),
    "nothing after the first line": (lambda _: "connvault-jupyter export 1", "truncated"),
    "version 0": (lambda text: text.replace("export 1", "export 0", 1), "foreign"),
    "a newer version": (lambda text: text.replace("export 1", "export 2", 1), "newer"),
    "a much newer version": (lambda _: "connvault-jupyter export 12\nwhatever", "newer"),
    "other line ends": (lambda text: text.replace("\n", "\r\n"), "changed"),
    "more at the end": (lambda text: text + "\n", "changed"),
    "not ASCII": (lambda text: text.replace("=", "\ud800", 1), "changed"),
    "huge": (lambda text: text + "A" * MAX_FILE_CHARS, "too_large"),
    "a header that is no JSON": (
        lambda text: with_digest("\n".join([text.split("\n")[0], "{", "", ""])),
        "changed",
    ),
    "a deep header": (
        lambda text: with_digest("\n".join([text.split("\n")[0], "[" * 100_000, "", ""])),
        "changed",
    ),
    "another header name": (lambda text: with_header(text, more=1), "changed"),
    "another function": (lambda text: with_header(text, kdf="scrypt"), "changed"),
    "a ruinous memory cost": (lambda text: with_header(text, memory_kib=1 << 30), "changed"),
    "ruinous iterations": (lambda text: with_header(text, iterations=10**6), "changed"),
    "no iterations": (lambda text: with_header(text, iterations=0), "changed"),
    "a cost that is no number": (lambda text: with_header(text, lanes=True), "changed"),
    "a short salt": (lambda text: with_header(text, salt="AAAA"), "changed"),
    "a salt that is no text": (lambda text: with_header(text, salt=[1]), "changed"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_file_says_what_is_wrong(text: str, what: str) -> None:
    """And costs nothing: no passphrase is stretched for it."""
    change, expected = WRONG[what]
    assert reason(change(text)) == expected


def test_who_writes_the_digest_anew_changes_nothing_unnoticed(text: str) -> None:
    """Header and ciphertext are authenticated; what decides about the key looks like another passphrase."""
    for changes in ({"salt": base64.b64encode(bytes(16)).decode()}, {"iterations": 2}, {"memory_kib": 64}):
        with pytest.raises(WrongPassphrase):
            FILES.opened(with_header(text, **changes), PASSPHRASE)
    assert reason(with_header(text, nonce=base64.b64encode(bytes(12)).decode())) == "changed"
    first, header, sealed, _ = text.split("\n", 3)
    raw = bytearray(base64.b64decode(sealed))
    for at in (0, len(raw) // 2, len(raw) - 1):
        raw[at] ^= 1
        edited = base64.b64encode(raw).decode()
        raw[at] ^= 1
        assert reason(with_digest(f"{first}\n{header}\n{edited}\n")) == "changed"
    # Spaces in the header are the same JSON, and are noticed all the same.
    assert reason(with_digest(f"{first}\n{header} \n{sealed}\n")) == "changed"


def test_the_length_does_not_say_how_long_a_secret_is() -> None:
    """Contents that differ by less than a block make files of one length."""
    lengths = {len(FILES.sealed(b'{"value":"' + b"x" * size + b'"}', PASSPHRASE)) for size in (8, 64, 300)}
    assert len(lengths) == 1


def test_a_file_that_would_unpack_without_end_is_refused() -> None:
    """Whoever gives away a file also gives its passphrase."""
    bomb = Argon2ExportFiles(costs=CHEAP)
    made = zlib.compress(bytes(MAX_CONTENT_BYTES + 1), 9)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("connvault_jupyter.vault.export_file.zlib.compress", lambda *_: made)
        text = bomb.sealed(b"", PASSPHRASE)
    assert reason(text) == "changed"


def test_what_is_too_much_for_one_file_is_refused() -> None:
    """Before anything is derived, and after: random bytes can't be made smaller."""
    with pytest.raises(ExportTooLarge):
        FILES.sealed(bytes(MAX_CONTENT_BYTES + 1), PASSPHRASE)
    with pytest.raises(ExportTooLarge):
        FILES.sealed(hashlib.shake_256(b"").digest(MAX_FILE_CHARS * 3 // 4), PASSPHRASE)
    assert len(FILES.sealed(hashlib.shake_256(b"").digest(400_000), PASSPHRASE)) <= MAX_FILE_CHARS


def test_a_short_passphrase_is_refused() -> None:
    """As for a vault."""
    with pytest.raises(WeakPassphrase):
        FILES.sealed(CONTENT, "short")
