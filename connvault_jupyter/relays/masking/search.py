"""Finds whole patterns in content, at a cost that depends on neither.

A search that skips what can't match (`bytes.find`, memmem, regular expressions, Aho and Corasick) is slower where a
content is like a pattern, and so tells code that times it how like it is. Here a content is cut into words, and each
run of words gets a fingerprint: a sum of products with them, modulo 2^64, by factors that are drawn when a process
first needs them. What is looked up is whether a fingerprint is one of a pattern's. That takes the same time for all;
what is in both is compared in full. Such a run is all of a pattern but 14 bytes (6 of a short one), at most 7 (3) of
them at its end, where tokens of one kind differ; or it is the last 24 (16) bytes or more of a pattern, but those: more
than anybody can guess. Nothing is ever done for a fingerprint that is like a pattern's in some of its bits: with the
time that this takes, content could be chosen until the factors are known, and by them the pattern.

Short content is looked up as it is, in a set: Python's hash of bytes is keyed too (SipHash, PEP 456).
"""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

# Of shorter patterns too much would be left over by long words. Short ones are twice the work.
_LONG_WORD, _SHORT_WORD = 8, 4
_LONG_BYTES = 32

# So that a run of two words is in it wherever it begins. `services.guessability` asks for more.
MIN_BYTES = 3 * _SHORT_WORD - 1

# A relay's block with what was held before it, in one piece of long words: a part of what a piece costs is not by the
# byte. Its arrays are 264 KiB each; `forks` sees to it that malloc has them at hand.
_PIECE_WORDS = 33 * 1024

# Of the longest run: what is longer than that is known by so much of its end.
_MAX_WORDS = 256

# Runs of so many bytes are enough to know longer patterns by, too, which saves a round for each length.
_ENOUGH_BYTES = {_SHORT_WORD: 16, _LONG_WORD: 24}

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
        for (word, words), group in _grouped(found).items():
            self._runs.append(_Runs(word, words, group))

    def __bool__(self) -> bool:
        return bool(self._runs)

    def spans(self, data: bytes) -> list[tuple[int, int]]:
        """Where a pattern stands, in no order; they may overlap."""
        return [span for runs in self._runs for span in runs.spans(data)]


class _Runs:
    """Patterns that are known by a run of `words` words of `word` bytes, each by one for each byte of a word that it
    may begin at."""

    def __init__(self, word: int, words: int, patterns: Iterable[bytes]) -> None:
        self._word = word
        self._words = words
        self._bytes = words * word
        # What may stand there, and which pattern that is, from how far before.
        self._seen: dict[bytes, set[tuple[int, bytes]]] = {}
        self._count = 0
        for pattern in patterns:
            for phase in range(word):
                # The last ones: tokens of one kind begin alike.
                at = phase + (len(pattern) - phase - self._bytes) // word * word
                self._seen.setdefault(pattern[at : at + self._bytes], set()).add((at, pattern))
            self._count += word
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
        places = range(0, len(data) - self._bytes + 1, self._word)
        size = self._bytes
        if self._seen.keys().isdisjoint([data[place : place + size] for place in places]):
            return []
        return [place for place in places if data[place : place + size] in self._seen]

    def _long(self, data: bytes) -> Iterator[int]:
        if self._tables is None:
            rows = self._cut(b"".join(self._seen))
            self._tables = _tables(_fingerprints(rows, self._words)[:: self._words], self._count)
        all_words = self._cut(data)
        for start in range(0, len(all_words) - self._words + 1, _PIECE_WORDS):
            # With the beginning of the next piece: a run may go over the edge.
            words = all_words[start : start + _PIECE_WORDS + self._words - 1]
            prints = _fingerprints(words, self._words)
            for table in self._tables:
                for place in table.places(prints):
                    yield (start + place) * self._word

    def _cut(self, data: bytes) -> Array:
        words = np.frombuffer(data, f"<u{self._word}", len(data) // self._word)
        return words.astype(np.uint64, copy=False)


def _fingerprints(words: Array, count: int) -> Array:
    """Of each run of `count` words, by where it begins: two of half as many, and so on, which takes few steps."""
    known = {1: words}

    def of(count: int) -> Array:
        if count not in known:
            half = 1 << (count - 1).bit_length() - 1
            first, second = of(half), of(count - half)[half:]
            made = second * _factor(half)
            made += first[: len(made)]
            known[count] = made
        return known[count]

    return of(count)


@functools.cache
def _factor(_half: int) -> Any:
    """An odd number, so that no difference is lost by it; another one for each of the steps."""
    return np.uint64(secrets.randbits(64) | 1)


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
    """By the run that they are known by: the size of its words, and how many. The patterns come by their length."""
    found: dict[tuple[int, int], list[bytes]] = {}
    word = words = 0
    for pattern in patterns:
        wanted = _LONG_WORD if len(pattern) >= _LONG_BYTES else _SHORT_WORD
        if wanted != word or words * word < _ENOUGH_BYTES[word]:
            # So long that such a run is in it wherever it begins.
            word, words = wanted, min((len(pattern) + 1 - wanted) // wanted, _MAX_WORDS)
        found.setdefault((word, words), []).append(pattern)
    return found
