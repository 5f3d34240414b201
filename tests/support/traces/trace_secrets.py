"""Pairs of secrets of equal length, and what a service may say that looks like the beginning of one of them."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from hypothesis import assume
from hypothesis import strategies as st

from .traces import Event, Leak

# By what a protocol lets a secret have, and by how long each is in UTF-8: both of a pair have as many bytes.
PRINTABLE = ("".join(map(chr, range(0x21, 0x7F))),)
TYPED = (PRINTABLE[0] + " ", "éßøñ")
ANYTHING = (PRINTABLE[0] + " \t\r\n", "éßøñ", "€日本", "😀🗝")

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_STRONG_CHARS = 16


@dataclass(frozen=True)
class Dialogue:
    """`blocks` are what the service says, for either secret."""

    one: str
    other: str
    blocks: tuple[bytes, ...]

    @property
    def guess(self) -> bytes:
        """What the requester says itself wherever it may: it is right for one of them."""
        return self.one.encode()

    @property
    def secrets(self) -> tuple[str, str]:
        return self.one, self.other


def strong(seed: int) -> str:
    """No run and no word: whether a secret can be guessed is the one thing about it that may show."""
    digest = hashlib.sha256(b"%d" % seed).digest()
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in digest[:_STRONG_CHARS])


def written(secret: str) -> tuple[bytes, ...]:
    """How services write it: each beginning of these is what a mask would hold back."""
    raw = secret.encode()
    coded = [base64.b64encode(b"\0" * offset + raw)[offset and 4 :].rstrip(b"=") for offset in range(3)]
    return (
        raw,
        json.dumps(secret)[1:-1].encode(),
        html.escape(secret).encode(),
        quote(secret, safe="").encode(),
        secret.encode("utf-16-le"),
        *coded,
    )


Blocks = Sequence[bytes]
Run = Callable[[str, Dialogue, "Leak | None"], list[Event]]


def halves(blocks: Blocks) -> list[bytes]:
    return [piece for one in blocks for piece in (one[: len(one) // 2], one[len(one) // 2 :])]


@st.composite
def dialogues(draw: st.DrawFn, alphabets: tuple[str, ...]) -> Dialogue:
    """The beginnings are the first secret's; the second one is as long, and may share some of them."""
    widths = draw(st.lists(st.integers(0, len(alphabets) - 1), max_size=8))
    shape = "".join(draw(st.sampled_from(alphabets[width])) for width in widths)
    if draw(st.booleans()):
        # A run, as long as it was.
        shape = "".join(alphabets[width][0] for width in widths)
    other = "".join(draw(st.sampled_from(alphabets[width])) for width in widths)
    seeds = draw(st.tuples(st.integers(0, 1 << 16), st.integers(0, 1 << 16)))
    found = Dialogue(
        shape + strong(seeds[0]), other + strong(seeds[1]), draw(_blocks(shape + strong(seeds[0])))
    )
    assume(found.one != found.other)
    # In lines it is whole too, as Base64 often comes.
    said = _in_one_line(b"".join(found.blocks))
    assume(not any(_in_one_line(form) in said for secret in found.secrets for form in written(secret)))
    return found


def _in_one_line(text: bytes) -> bytes:
    return text.translate(None, b"\r\n")


def _blocks(secret: str) -> st.SearchStrategy[tuple[bytes, ...]]:
    """Each ends with a beginning of some length, or in the middle of a text."""
    filler = st.sampled_from([b"", b'{"name": "', b"yes", b"music ", b"\r\n", b"data: ", b"=" * 40])
    # So much is left out that a character is missing: in UTF-16 a last byte alone is none, and in Base64 a last sign or
    # two may be its neighbour's.
    left_out = (1, 1, 1, 1, 2, 3, 3, 3)
    beginning = st.sampled_from([*zip(written(secret), left_out, strict=True)]).flatmap(
        lambda form: st.integers(1, len(form[0]) - form[1]).map(lambda length: form[0][:length])
    )
    # As long as the whole, so that it would be searched through.
    run = st.integers(1, 60).map(lambda length: secret[0].encode() * length)
    return st.lists(
        st.tuples(filler, st.one_of(beginning, beginning, run)).map(b"".join), min_size=1, max_size=5
    ).map(tuple)
