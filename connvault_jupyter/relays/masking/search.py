"""Finds whole patterns in content, at a cost that depends on neither.

A search that skips what can't match (`bytes.find`, memmem, regular expressions, Aho and Corasick) is slower where a
content is like a pattern, and so tells code that times it how like it is. Here a content is cut into words of 8
bytes, and each run of words gets a fingerprint: a polynomial over them, modulo 2^64, at a point that is drawn when a
process first needs it. What is looked up is whether a fingerprint is one of a pattern's. That takes the same time for
all; what is in both is seen when so much of a pattern is there at once as nobody can guess (all but 14 bytes, or 24
bytes and all but 22), and then compared in full. Nothing is ever done for a fingerprint that is like a pattern's in
some of its bits: with the time that this takes, content could be chosen until the point is known, and by it the
pattern.

Short content is looked up as it is, in a set: Python's hash of bytes is keyed too (SipHash, PEP 456).
"""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

_WORD_BYTES = 8

# So that a run of whole words is in it wherever it begins. `services.guessability` asks for one byte more.
MIN_BYTES = 2 * _WORD_BYTES - 1

# A relay's block with what was held before it, in one piece: a part of what a piece costs is not by the byte. Its
# arrays are 264 KiB each; `forks` sees to it that malloc has them at hand.
_PIECE_WORDS = 33 * 1024

# Of the longest run: what is longer than that is known by so much of it.
_MAX_WORDS = 256

# Runs of so many words are enough to know a pattern by: 18 bytes of a secret in Base64, which are 72 bits of one in
# hexadecimal digits. So longer patterns can have the same as shorter ones, and runs can begin at every second word.
_ENOUGH_WORDS = 3

# Of a table: 16 KiB, which stay in a processor's nearest cache, to 32 MiB.
_FEWEST_BITS, _MOST_BITS = 11, 22

# Up to here a set is faster than numpy's calls.
_SHORT_BYTES = 640

Array = Any


class Search:
    """Made once for all patterns; those that are shorter than `MIN_BYTES` are left out."""

    def __init__(self, patterns: Iterable[bytes]) -> None:
        found = sorted((one for one in patterns if len(one) >= MIN_BYTES), key=len)
        self._runs: list[_Runs] = []
        for (words, step), group in _grouped(found).items():
            self._runs.append(_Runs(words, step, group))

    def __bool__(self) -> bool:
        return bool(self._runs)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where a pattern stands, in no order; they may overlap."""
        return [span for runs in self._runs for span in runs.spans(data)]


class _Runs:
    """Patterns that are known by a run of `words` words. Runs are looked up at every `step`th word, so each pattern
    has one for each byte of so many words that it may begin at."""

    def __init__(self, words: int, step: int, patterns: Iterable[bytes]) -> None:
        self._words = words
        self._step = step
        self._bytes = words * _WORD_BYTES
        # What may stand there, and which pattern that is, from how far before.
        self._seen: dict[bytes, set[tuple[int, bytes]]] = {}
        phases = step * _WORD_BYTES
        self._count = 0
        for pattern in patterns:
            for phase in range(phases):
                # The last ones: tokens of one kind begin alike.
                at = phase + (len(pattern) - phase - self._bytes) // phases * phases
                self._seen.setdefault(pattern[at : at + self._bytes], set()).add((at, pattern))
            self._count += phases
        self._tables: list[_Table] | None = None

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        if len(data) < self._bytes:
            return
        places = self._short(data) if len(data) <= _SHORT_BYTES else self._long(data)
        for place in places:
            for before, pattern in self._seen.get(data[place : place + self._bytes], ()):
                start = place - before
                if start >= 0 and hmac.compare_digest(data[start : start + len(pattern)], pattern):
                    yield start, start + len(pattern)

    def _short(self, data: bytes) -> list[int]:
        places = range(0, len(data) - self._bytes + 1, self._step * _WORD_BYTES)
        size = self._bytes
        if self._seen.keys().isdisjoint([data[place : place + size] for place in places]):
            return []
        return [place for place in places if data[place : place + size] in self._seen]

    def _long(self, data: bytes) -> Iterator[int]:
        if self._tables is None:
            rows = np.frombuffer(b"".join(self._seen), "<u8").reshape(-1, self._words)
            powers = _powers()[0][: self._words]
            self._tables = _tables((rows * powers).sum(axis=1, dtype=np.uint64), self._count)
        all_words = np.frombuffer(data, "<u8", len(data) // _WORD_BYTES)
        for start in range(0, len(all_words) - self._words + 1, _PIECE_WORDS):
            # With the beginning of the next piece: a run may go over the edge.
            words = all_words[start : start + _PIECE_WORDS + self._words - 1]
            prints = self._fingerprints(words)
            for table in self._tables:
                for place in table.places(prints):
                    yield (start + place * self._step) * _WORD_BYTES

    def _fingerprints(self, words: Array) -> Array:
        powers, inverses = _powers()
        count, step = len(words) - self._words + 1, self._step
        if self._words <= _ENOUGH_WORDS:
            # So few products are added up faster than they are taken from sums.
            prints = words[:count:step] * powers[0]
            for place in range(1, self._words):
                prints += words[place : count + place : step] * powers[place]
            return prints
        sums = np.empty(len(words) + 1, np.uint64)
        sums[0] = 0
        sums_after = sums[1:]
        np.multiply(words, powers[: len(words)], out=sums_after)
        np.add.accumulate(sums_after, out=sums_after)
        prints = sums[self._words :: step] - sums[:count:step]
        prints *= inverses[:count:step]
        return prints


class _Table:
    """Fingerprints by their uppermost bits, which depend on all of the others, and of which no two here have the
    same."""

    def __init__(self, prints: Array, bits: int) -> None:
        self._shift = np.uint64(64 - bits)
        # What stands in an empty place belongs in another one, so it is never found.
        self._known = ~np.arange(1 << bits, dtype=np.uint64) << self._shift
        self._known[prints >> self._shift] = prints

    def places(self, prints: Array) -> list[int]:
        """Which of these fingerprints it has."""
        index = prints >> self._shift
        hits = self._known.take(index.view(np.int64), mode="clip") == prints
        if not np.count_nonzero(hits):
            return []
        found: list[int] = np.flatnonzero(hits).tolist()
        return found


def _tables(prints: Array, count: int) -> list[_Table]:
    """One, mostly: where no two fingerprints may have the same bits, what is left goes into another one.

    `count`: for how many there is room, so that the size of a table does not tell how many are the same."""
    made = []
    while len(prints):
        bits = min(_MOST_BITS, max(_FEWEST_BITS, (8 * count).bit_length()))
        for more in range(bits, bits + 4):
            _, first = np.unique(prints >> np.uint64(64 - more), return_index=True)
            if len(first) == len(prints) or more == _MOST_BITS:
                break
        made.append(_Table(prints[first], more))
        left = np.ones(len(prints), np.bool_)
        left[first] = False
        prints = prints[left]
        count = len(prints)
    return made


def _grouped(patterns: list[bytes]) -> dict[tuple[int, int], list[bytes]]:
    """By the run that they are known by: its length in words, and at which words it is looked up. Shorter ones
    first."""
    found: dict[tuple[int, int], list[bytes]] = {}
    run = (0, 1)
    for pattern in patterns:
        if run[0] < _ENOUGH_WORDS:
            # So long that such a run is in it wherever it begins.
            at_all, at_every_second = (
                (len(pattern) + 1 - step * _WORD_BYTES) // _WORD_BYTES for step in (1, 2)
            )
            run = (at_every_second, 2) if at_every_second >= _ENOUGH_WORDS else (at_all, 1)
            run = (min(run[0], _MAX_WORDS), run[1])
        found.setdefault(run, []).append(pattern)
    return found


@functools.cache
def _powers() -> tuple[Array, Array]:
    """Of the point, from the first on, and of its inverse, from the 0th on. An odd number has one modulo 2^64."""
    point = secrets.randbits(64) | 1
    count = _PIECE_WORDS + _MAX_WORDS
    return _series(point, point, count), _series(1, pow(point, -1, 1 << 64), count)


def _series(first: int, base: int, count: int) -> Array:
    found = np.full(count, base, np.uint64)
    found[0] = first
    return np.multiply.accumulate(found)
