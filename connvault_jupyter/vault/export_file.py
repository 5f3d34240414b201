"""The file of exported connections: encrypted under a passphrase of its own (the port `ExportFiles`). What its content
means is decided in `services.transfer`; nothing here knows a connection.

Version 1, text in ASCII, four lines that each end with one line feed:

    connvault-jupyter export 1
    {"iterations":3,"kdf":"argon2id","lanes":4,"memory_kib":65536,"nonce":"...","salt":"...","verifier":"..."}
    <ciphertext and tag in Base64>
    <SHA-256 of everything before, in hex>

Argon2id (RFC 9106) of the passphrase makes a key, from which HKDF-SHA256 (RFC 5869) derives the one for AES-256-GCM
(RFC 5116 5.2) and the verifier, 32 bytes. Associated data: the first two lines as they are. The plaintext is the
content as a zlib stream (RFC 1950), then zero bytes up to a multiple of 1,024, so that the file's length does not
reveal a secret's.

The digest is of no use against an attacker. It tells a damaged file from a wrong passphrase before anything is
computed. The verifier tells a wrong passphrase from a changed ciphertext, and commits the file to one key: AES-GCM does
not, so a file could be made that opens differently under two passphrases. Whoever has the file may try passphrases
anyway; each try costs an Argon2id.

Evolution: another first line for another version; a reader refuses what it does not know. Stored costs are used, within
the bounds of `argon2`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import threading
import zlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ..contracts.transfer import MAX_FILE_CHARS
from ..errors import ExportFileInvalid, ExportTooLarge, WrongPassphrase
from ..services.ports import Randomness
from .argon2 import COSTS, SALT_BYTES, check_strength, stretched, within_bounds
from .envelope import KEY_BYTES, NONCE_BYTES

MAGIC = "connvault-jupyter export"

_FIRST_LINE = f"{MAGIC} 1"

# A file with other line ends than its own is one that was changed, not a foreign one.
_ANY_VERSION = re.compile(rf"{MAGIC} ([1-9][0-9]{{0,8}})\r?\Z")

# What a zlib stream in a file may become: a reader must not be made to use more memory.
MAX_CONTENT_BYTES = 8 << 20

_BLOCK_BYTES = 1024

# After the first one; the last is what follows the last line feed.
_LINES = 4

# A label is never used again with another meaning.
_INFO_ENCRYPT = b"connvault-jupyter v1 export file"
_INFO_VERIFIER = b"connvault-jupyter v1 export file verifier"

_BINARY = {"salt": SALT_BYTES, "nonce": NONCE_BYTES, "verifier": KEY_BYTES}

_NEWER = (
    "This file was exported by a newer version of connvault-jupyter. Update this one, then import it again."
)
_TRUNCATED = "The end of this file is missing. Copy it again from where it was exported."
_CHANGED = "This file was changed after it was exported. Copy it again from where it was exported."
_TOO_LARGE = "This file is larger than any that connvault exports."
_WRONG = "The passphrase is not the one that this file was exported with. Try again."


class Argon2ExportFiles:
    """One at a time: each takes 64 MiB and four threads. Thread-safe; it keeps nothing. `costs`: of new files."""

    def __init__(self, *, random: Randomness = os.urandom, costs: Mapping[str, int] = COSTS) -> None:
        self._random = random
        self._costs = costs
        self._one_at_a_time = threading.Lock()

    def sealed(self, content: bytes, passphrase: str) -> str:
        """The text of the file.

        Raises:
            WeakPassphrase: it is too short.
            ExportTooLarge: the file would be too large to be imported.
            CustodianUnavailable: there is no Argon2id, or too little memory.
        """
        check_strength(passphrase)
        packed = zlib.compress(content, 9)
        if len(content) > MAX_CONTENT_BYTES or len(packed) > MAX_FILE_CHARS:
            raise ExportTooLarge
        salt, nonce = self._random(SALT_BYTES), self._random(NONCE_BYTES)
        key, verifier = self._keys(passphrase, salt, self._costs)
        open_part = {
            "kdf": "argon2id",
            **self._costs,
            "salt": _text(salt),
            "nonce": _text(nonce),
            "verifier": _text(verifier),
        }
        head = f"{_FIRST_LINE}\n{json.dumps(open_part, sort_keys=True, separators=(',', ':'))}\n"
        padded = packed + bytes(-len(packed) % _BLOCK_BYTES)
        body = f"{head}{_text(AESGCM(key).encrypt(nonce, padded, head.encode()))}\n"
        text = f"{body}{hashlib.sha256(body.encode()).hexdigest()}\n"
        if len(text) > MAX_FILE_CHARS:
            raise ExportTooLarge
        return text

    def opened(self, text: str, passphrase: str) -> bytes:
        """The content.

        Raises:
            ExportFileInvalid: it is no such file, or not as it was made; `details["reason"]` and the message say which.
            WrongPassphrase: another one is needed.
            CustodianUnavailable: there is no Argon2id, or too little memory.
        """
        head, sealed = _parts(text)
        open_part, binary = _parsed(head)
        key, verifier = self._keys(passphrase, binary["salt"], open_part)
        if not hmac.compare_digest(verifier, binary["verifier"]):
            raise WrongPassphrase(_WRONG)
        # Raised outside the handler, so that no cause is attached.
        packed = b""
        with suppress(InvalidTag):
            packed = AESGCM(key).decrypt(binary["nonce"], sealed, head.encode())
        return _unpacked(packed)

    def _keys(self, passphrase: str, salt: bytes, costs: Mapping[str, Any]) -> tuple[bytes, bytes]:
        with self._one_at_a_time:
            secret = stretched(passphrase, salt, costs)
        return _derived(secret, _INFO_ENCRYPT), _derived(secret, _INFO_VERIFIER)

    def __repr__(self) -> str:
        return "<Argon2ExportFiles>"


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(secret)


def _parts(text: str) -> tuple[str, bytes]:
    """(the first two lines, the ciphertext), once the digest fits. Raises: ExportFileInvalid."""
    first, _, rest = text.partition("\n")
    version = _ANY_VERSION.match(first)
    if version is None:
        raise ExportFileInvalid(reason="foreign")
    if int(version[1]) > 1:
        raise ExportFileInvalid(_NEWER, reason="newer")
    if len(text) > MAX_FILE_CHARS:
        raise ExportFileInvalid(_TOO_LARGE, reason="too_large")
    lines = rest.split("\n")
    if len(lines) < _LINES:
        raise ExportFileInvalid(_TRUNCATED, reason="truncated")
    body = text[: -len(lines[2]) - 1]
    if (
        len(lines) > _LINES
        or lines[3]
        or not text.isascii()
        or not hmac.compare_digest(hashlib.sha256(body.encode()).hexdigest(), lines[2])
    ):
        _changed()
    return f"{first}\n{lines[0]}\n", _bytes(lines[1])


def _parsed(head: str) -> tuple[dict[str, Any], dict[str, bytes]]:
    """(the header, its binary values), each within its bounds. Raises: ExportFileInvalid."""
    open_part: Any = None
    with suppress(ValueError, RecursionError):
        open_part = json.loads(head.split("\n")[1])
    if (
        not isinstance(open_part, dict)
        or open_part.keys() != {"kdf", *COSTS, *_BINARY}
        or open_part["kdf"] != "argon2id"
        or not within_bounds(open_part)
    ):
        _changed()
    binary = {name: _bytes(open_part[name]) for name in _BINARY}
    if any(len(binary[name]) != length for name, length in _BINARY.items()):
        _changed()
    return open_part, binary


def _unpacked(packed: bytes) -> bytes:
    """Raises: ExportFileInvalid."""
    unpacking = zlib.decompressobj()
    content = b""
    with suppress(zlib.error):
        content = unpacking.decompress(packed, MAX_CONTENT_BYTES)
    if not unpacking.eof or unpacking.unused_data.strip(b"\0"):
        _changed()
    return content


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: Any) -> bytes:
    """Raises: ExportFileInvalid."""
    found = b""
    with suppress(binascii.Error, ValueError, TypeError):
        found = base64.b64decode(text, validate=True)
    # The last character of a Base64 text has bits that mean nothing.
    if _text(found) != text:
        _changed()
    return found


def _changed() -> NoReturn:
    raise ExportFileInvalid(_CHANGED, reason="changed")
