"""The spellings of a secret in content in normal form. Nothing is searched here.

The steps are the same for each secret, and all secrets of one length have equally many patterns of the same nominal
lengths, as whoever waits for the first answer can measure the time.
"""

from __future__ import annotations

import base64
import secrets
import string
from collections.abc import Iterable
from dataclasses import replace

from ...services.secrets.guessability import base64_length, compared_bytes, read_length
from .normal_form import DROPPED, Form
from .search import Pattern

_BASE64 = (string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/").encode()
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_FOLDED = bytes.maketrans(b"+", b" ")

# The number of patterns that are not Base64.
_UNCODED = 3

# Random, so no secret and no escape can contain it; and it is not part of an escape.
_BETWEEN = b"\1%s\1" % secrets.token_hex(16).encode()


def _all_escapes() -> bytes:
    """Of every kind, in each of the rounds: beside them it can't be seen which ones a secret has in it."""
    once = rb"\\\\ \" \n \x41 \u0041 \ud83d\ude00 &amp; &#65; &#x41; %41 "
    found = b""
    for _ in range(4):
        found = once + found.replace(b"\\", rb"\u005c").replace(b"&", b"&amp;").replace(b"%", b"%25")
    return found


_ALL_ESCAPES = _all_escapes()


def patterns(secret: str) -> list[Pattern]:
    """As it is, how squeezing leaves UTF-16 of what is not ASCII, and within Base64 of either alphabet."""
    return _distinct(_spelled(secret))


def read_patterns(secret: str) -> list[Pattern]:
    """The same as the normal form reads it, for a secret that looks as if something in it were escaped.

    One that is read as much less than it is has no such pattern, and is found only where it stands as it is."""
    spelled = _spelled(secret)
    joined = _BETWEEN.join([*(pattern.data for pattern in spelled[:_UNCODED]), _ALL_ESCAPES])
    uncoded = [
        # The reading of a final backslash depends on what follows it.
        replace(pattern, data=data.translate(None, DROPPED).rstrip(b"\\"), length=read_length(len(secret)))
        for pattern, data in zip(
            spelled, Form(joined).unescaped().data.split(_BETWEEN)[:_UNCODED], strict=False
        )
    ]
    # Base64 has nothing that looks like an escape.
    in_base64 = [
        replace(
            pattern,
            data=pattern.data.translate(_FOLDED),
            before=pattern.before.translate(_FOLDED),
            after=pattern.after.translate(_FOLDED),
        )
        for pattern in spelled[_UNCODED:]
    ]
    return _distinct([*uncoded, *in_base64])


def _spelled(secret: str) -> list[Pattern]:
    length = len(secret)
    run = compared_bytes(length)
    return [
        *(
            Pattern(text.translate(None, DROPPED), length, run)
            for text in (secret.encode(), secret.encode("utf-16-le"), secret.encode("utf-16-be"))
        ),
        *_in_base64(secret),
    ]


def _in_base64(secret: str) -> Iterable[Pattern]:
    """At each of the three offsets in a longer text, with its own bits of the characters that it shares with its
    neighbours."""
    raw = secret.encode()
    for offset in range(3):
        text = base64.b64encode(bytes(offset) + raw)
        begin, end = offset * 8, (offset + len(raw)) * 8
        core = text[-(-begin // 6) : end // 6]
        before = _sharing(text[begin // 6], begin % 6, first=False)
        after = _sharing(text[end // 6], end % 6, first=True) if end % 6 else b""
        length = base64_length(len(secret))
        standard = Pattern(core, length, compared_bytes(length, in_base64=True), before, after)
        yield standard
        yield replace(
            standard,
            data=core.translate(_URL_SAFE),
            before=before.translate(_URL_SAFE),
            after=after.translate(_URL_SAFE),
        )


def _sharing(char: int, bits: int, *, first: bool) -> bytes:
    """The characters with the same first (or last) bits; none if no bit is shared."""
    if not bits:
        return b""
    mask = (0x3F << 6 - bits) & 0x3F if first else 0x3F >> bits
    value = _BASE64.index(char)
    return bytes(other for number, other in enumerate(_BASE64) if (number ^ value) & mask == 0)


def _distinct(found: list[Pattern]) -> list[Pattern]:
    """Replaces duplicates, and patterns that are too short, with random ones."""
    kept: dict[bytes, Pattern] = {}
    for pattern in found:
        spare = replace(pattern, data=secrets.token_bytes(pattern.length))
        one = pattern if pattern.fits and pattern.data not in kept else spare
        kept[one.data] = one
    return list(kept.values())
