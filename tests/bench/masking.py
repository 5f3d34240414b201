"""Looking through answers for what was sent: how fast, and whether content that is like a secret takes longer."""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Callable, Iterator
from statistics import median

from connvault_jupyter.relays.masking.holding import Holding
from connvault_jupyter.relays.masking.masker import Masker
from connvault_jupyter.relays.masking.spellings import patterns

from .figures import Figure, Plan

IDS = ("mask_mb_s_1000", "mask_mb_s_1000_secrets", "mask_mb_s_plain", "mask_steered_ratio")

# A relay's block, and as many as take some tenths of a second.
_BLOCK_BYTES = 256 * 1024
_BLOCKS = 64

# Maskers of each secret.
_MADE = 5

# What a secret may have in it that the normal form reads as less.
_LIKE_ESCAPES = ("%41", "&amp;", "\\u0041", "+", "\\")

_ALPHABET = string.ascii_letters + string.digits + "-_"


def measure(plan: Plan) -> Iterator[Figure]:
    chance = random.Random(1)  # noqa: S311 -- the same in each run
    secrets = [_secret(chance, chance.choice((20, 32, 40, 48, 93))) for _ in range(1000)]
    rounds = plan.rounds_or(7)
    answers = _answers(chance)
    # Each secret is looked for in so many spellings.
    spellings = len(patterns(secrets[0]))
    maskers = {
        "mask_mb_s_1000": Masker(secrets[: -(-1000 // spellings)]),
        "mask_mb_s_1000_secrets": Masker(secrets),
    }
    one = Masker(secrets[:1])
    for name, many in maskers.items():
        found = [(_mb_s(many, answers), _mb_s(one, answers)) for _ in range(rounds)]
        yield Figure(name, median(pair[0] for pair in found), median(pair[1] for pair in found))
    plain = b"0123456789abcdef" * (_BLOCKS * _BLOCK_BYTES // 16)
    yield Figure("mask_mb_s_plain", median(_mb_s(one, plain) for _ in range(rounds)))
    yield _steered(chance, plan.rounds_or(200))


def _secret(chance: random.Random, length: int) -> str:
    return "".join(chance.choice(_ALPHABET) for _ in range(length))


def _answers(chance: random.Random) -> bytes:
    """What APIs say: JSON with texts, addresses and times, which have escapes of all kinds in them."""
    words = [
        "report",
        "warehouse",
        "value",
        "of",
        "the",
        "quarter",
        "and",
        "what",
        "it",
        "says",
        "about",
        "another",
    ]
    words += ["\u00fcber", "caf\u00e9", '"quoted"', "line\r\nbreak"]
    size, found = 0, []
    while size < _BLOCKS * _BLOCK_BYTES:
        record = {
            "id": chance.randrange(10**9),
            "node_id": _secret(chance, 24),
            "url": f"https://api.example.com/v1/items?page={chance.randrange(99)}&q=a%20b",
            "body": " ".join(chance.choice(words) for _ in range(40)),
            "at": "2026-11-30T09:30:00+00:00",
            "html": "<p>A &amp; B</p>",
        }
        text = json.dumps(record).encode() + b",\n"
        size += len(text)
        found.append(text)
    return b"".join(found)[: _BLOCKS * _BLOCK_BYTES]


def _mb_s(mask: Masker, content: bytes) -> float:
    """In blocks, as a relay has them."""
    held = Holding(mask, lines=False)
    began = time.perf_counter()
    for at in range(0, len(content), _BLOCK_BYTES):
        held(content[at : at + _BLOCK_BYTES])
    held(b"")
    return len(content) / (time.perf_counter() - began) / 1e6


def _steered(chance: random.Random, rounds: int) -> Figure:
    """Contents that are made of one of two secrets, looked through for either, by turns: the largest quotient of the
    times, which is 1 where a content can't tell them apart. One of them may look like escapes."""
    one, other = (_secret(chance, 40) for _ in range(2))
    odd = "".join(part + one[number] for number, part in enumerate(_LIKE_ESCAPES))
    odd += one[len(odd) :]
    assert len(odd) == len(one)
    worst = (0.0, 0.0, 1.0)
    # Where the tables of one lie in memory makes it up to twice as slow, whatever its secret: so several are compared,
    # made by turns, and the fastest counts.
    made = [{secret: Masker([secret]) for secret in (one, other, odd)} for _ in range(_MADE)]
    assert all(all(masks.values()) for masks in made)
    for make in _CONTENTS:
        for secret, compared in ((one, other), (other, one), (one, odd), (odd, one)):
            content = make(secret)
            # Reading its escapes again and again takes ten times as long.
            each = [
                _pair(
                    masks[secret], masks[compared], content, rounds // (4 * _MADE if secret == odd else _MADE)
                )
                for masks in made
            ]
            ours, theirs = (min(side) for side in zip(*each, strict=True))
            ratio = max(ours / theirs, theirs / ours)
            if ratio > worst[2]:
                worst = (ours * 1e6, theirs * 1e6, ratio)
    return Figure("mask_steered_ratio", *worst)


def _pair(mask: Masker, another: Masker, content: bytes, rounds: int) -> tuple[float, float]:
    """The median of each, by turns."""
    times = [(_seconds(mask, content), _seconds(another, content)) for _ in range(rounds)]
    ours, theirs = zip(*times, strict=True)
    return median(ours), median(theirs)


def _seconds(mask: Masker, content: bytes) -> float:
    began = time.perf_counter()
    mask.whole(content)
    return time.perf_counter() - began


def _filled(text: str) -> bytes:
    return (text.encode() * (_BLOCK_BYTES // len(text) + 1))[:_BLOCK_BYTES]


_CONTENTS: tuple[Callable[[str], bytes], ...] = (
    lambda secret: _filled(secret[0]),
    lambda secret: _filled(secret[-1]),
    lambda secret: _filled(secret[:8]),
    lambda secret: _filled(secret[:20]),
    lambda secret: _filled(secret[-20:]),
    # More than anybody has who does not know it.
    lambda secret: _filled(secret[:24]),
    lambda secret: _filled(secret[-24:]),
    lambda secret: _filled(min(secret, key=secret.count)),
)
