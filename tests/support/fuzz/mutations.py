"""Edits of a sample for a fuzzer: one step each, chosen by a dice that the caller owns. It knows no protocol."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

# Where signs, widths and bounds change; written in 1 to 8 bytes and either byte order.
_NUMBERS = (
    0, 1, 2, 3, 4, 5, 7, 8, 16, 20, 31, 32, 64, 100, 127, 128, 250, 251, 252, 253, 254, 255, 256, 4095, 4096,
    10_000, 16_384, 30_000, 32_767, 32_768, 65_535, 65_536, 1 << 18, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
    (1 << 63) - 1, (1 << 64) - 1,
)  # fmt: skip
_WIDTHS = (1, 2, 3, 4, 8)

# The farthest that a block is repeated: what takes quadratic time shows at such a length only.
_MANY = (2, 3, 10, 100, 3000)

Edit = Callable[[bytes, random.Random, Sequence[bytes], Sequence[bytes]], bytes]
"""(data, dice, other samples, words of the protocol) -> the edited data."""


def mutated(
    data: bytes, chance: random.Random, others: Sequence[bytes], words: Sequence[bytes], *, longest: int
) -> bytes:
    """One to some edits, more often few; no longer than `longest`."""
    for _ in range(min(8, 1 + int(chance.expovariate(0.6)))):
        data = chance.choice(_EDITS)(data, chance, others, words)[:longest]
    return data


def smaller(data: bytes, good: Callable[[bytes], bool], *, tries: int) -> bytes:
    """Without pieces that it can do without and still be `good`; after `tries` questions it is as it is."""
    size = len(data) // 2
    while size and tries > 0:
        at = 0
        while at < len(data) and tries > 0:
            shorter = data[:at] + data[at + size :]
            tries -= 1
            if good(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    """Mostly a short one."""
    start = chance.randint(0, len(data))
    longest = chance.choice((4, 16, 64, len(data)))
    return start, min(len(data), start + chance.randint(1, max(1, longest)))


def _flip_bit(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _set_byte(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _insert(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.randbytes(chance.randint(1, 8)) + data[at:]


def _delete(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:]


def _repeat(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[start:end] * chance.choice(_MANY) + data[end:]


def _move(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    start, end = _span(data, chance)
    rest = data[:start] + data[end:]
    at = chance.randint(0, len(rest))
    return rest[:at] + data[start:end] + rest[at:]


def _splice(data: bytes, chance: random.Random, others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    start, end = _span(other, chance)
    at = chance.randint(0, len(data))
    return data[:at] + other[start:end] + data[at + chance.choice((0, end - start)) :]


def _cross(data: bytes, chance: random.Random, others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    other = chance.choice(others)
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _number(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    at, width = chance.randint(0, len(data)), chance.choice(_WIDTHS)
    # What is left from here is a length that was meant, or nearly.
    value = chance.choice((*_NUMBERS, len(data) - at, len(data) - at - width))
    value = max(0, value) & ((1 << (8 * width)) - 1)
    return data[:at] + value.to_bytes(width, chance.choice(("big", "little"))) + data[at + width :]


def _digits(data: bytes, chance: random.Random, _others: Sequence[bytes], _words: Sequence[bytes]) -> bytes:
    """Another number in the place of one that is written out."""
    places = [at for at, byte in enumerate(data[:4096]) if 0x30 <= byte <= 0x39]
    if not places:
        return data
    start = end = chance.choice(places)
    while end < len(data) and 0x30 <= data[end] <= 0x39:
        end += 1
    return data[:start] + b"%d" % chance.choice((*_NUMBERS, len(data) - end)) + data[end:]


def _word(data: bytes, chance: random.Random, _others: Sequence[bytes], words: Sequence[bytes]) -> bytes:
    if not words:
        return data
    word, at = chance.choice(words), chance.randint(0, len(data))
    return data[:at] + word + data[at + chance.choice((0, 0, len(word))) :]


_EDITS: tuple[Edit, ...] = (
    _flip_bit, _set_byte, _insert, _delete, _delete, _repeat, _move, _splice, _splice, _cross, _number, _digits,
    _word, _word, _word,
)  # fmt: skip
