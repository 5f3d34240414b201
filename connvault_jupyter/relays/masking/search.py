r"""Finds whole patterns in content, in a time that depends on neither of them.

A search that skips mismatches (`bytes.find`, memmem, regular expressions, Aho-Corasick) is slower where content
resembles a pattern, so its timing reveals how similar they are. Here content is split into words of 8 bytes, and each
run of words gets a fingerprint: the sum of its products, modulo 2^64, with random factors drawn when a process first
needs them. Each fingerprint is looked up among those of the patterns, which always takes the same time; only matches
are compared in full. Such a run is the last 16 to 32 bytes of a pattern, or as many that end up to 7 bytes earlier:
more than anybody can guess, as `services.secrets.guessability` judges just these parts. A fingerprint that equals a
pattern's in only some bits must never cause any work: by its timing, content could be chosen until the factors, and
with them the pattern, are known.

The number and length of runs, and the size of the tables, follow from nominal lengths, not from the patterns
themselves.

Short content is looked up directly in a set: Python's hash of bytes is keyed too (SipHash, PEP 456).
"""

from __future__ import annotations

import functools
import hmac
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

_WORD = 8

# A relay's block with what was held before it, in one piece: a part of what a piece costs is not by the byte. Its
# arrays are 264 KiB each; `zygote_client` sees to it that malloc has them at hand.
_PIECE_WORDS = 33 * 1024

# Of a run (`guessability.compared_bytes`).
_MOST_WORDS = 4

# Of a table: 16 KiB, which stay in a processor's nearest cache. Up to 128 KiB it may be so large that there is one
# place for each, which is faster than two.
_FEWEST_BITS, _SINGLE_BITS = 11, 14

# While fewer than two in five slots are taken, a few turns are enough; else another factor is drawn.
_MOST_TURNS = 200

# Up to here a set is faster than numpy's calls.
_SHORT_BYTES = 640

Array = Any


@dataclass(frozen=True)
class Pattern:
    """`length`: its nominal one, by which the search is made; it `fits` that. `run`: how much of it is compared first.
    `before`, `after`: one of these bytes stands next to it and belongs to it, if there are any."""

    data: bytes
    length: int
    run: int
    before: bytes = b""
    after: bytes = b""

    @property
    def stride(self) -> int:
        """The step between the checked runs: as large as a pattern of this length allows."""
        return 1 << min(_WORD, self.length - self.run + 1).bit_length() - 1

    @property
    def fits(self) -> bool:
        """Whether it contains a run at every offset."""
        return len(self.data) >= self.run + self.stride - 1

    def span(self, data: bytes, start: int) -> tuple[int, int] | None:
        """Its span in the data from `start` on, if it is there."""
        end = start + len(self.data)
        if start < 0 or not hmac.compare_digest(data[start:end], self.data):
            return None
        if self.before:
            start -= 1
            if start < 0 or data[start] not in self.before:
                return None
        if self.after:
            if end == len(data) or data[end] not in self.after:
                return None
            end += 1
        return start, end


class Search:
    """Built once for all patterns."""

    def __init__(self, patterns: Iterable[Pattern]) -> None:
        shapes: dict[tuple[int, int], list[Pattern]] = {}
        for pattern in patterns:
            shapes.setdefault((pattern.stride, pattern.run), []).append(pattern)
        self._runs = [_Runs(stride, size, group) for (stride, size), group in sorted(shapes.items())]

    def spans(self, data: bytes) -> Iterator[tuple[int, int]]:
        """The spans of patterns, in no particular order; they may overlap."""
        for place, runs in self._short(data) if len(data) <= _SHORT_BYTES else self._long(data):
            yield from runs.spans(data, place)

    def _short(self, data: bytes) -> Iterator[tuple[int, _Runs]]:
        for runs in self._runs:
            size = runs.size
            places = range(0, len(data) - size + 1, runs.stride)
            if not runs.seen.keys().isdisjoint([data[place : place + size] for place in places]):
                yield from ((place, runs) for place in places)

    def _long(self, data: bytes) -> Iterator[tuple[int, _Runs]]:
        for phase in range(0, _WORD, min(runs.stride for runs in self._runs)) if self._runs else ():
            asked = [runs for runs in self._runs if phase % runs.stride == 0]
            for start in range(phase, len(data), _PIECE_WORDS * _WORD):
                # Includes the start of the next piece, as a run may cross the boundary.
                prints = _Fingerprints(data, start, _PIECE_WORDS + _MOST_WORDS)
                for runs in asked:
                    for place in runs.places(prints.of(runs.size)[:_PIECE_WORDS]):
                        yield start + place * _WORD, runs


class _Runs:
    """Patterns that are known by a run of so many bytes, each by one for each of the `stride` bytes that it may begin
    at."""

    def __init__(self, stride: int, size: int, patterns: Iterable[Pattern]) -> None:
        self.stride = stride
        self.size = size
        # The runs, each with its pattern and the distance from the pattern's start.
        self.seen: dict[bytes, list[tuple[int, Pattern]]] = {}
        count = 0
        for pattern in patterns:
            # The last ones, as tokens of one kind start alike.
            last = len(pattern.data) - size
            for at in range(last - stride + 1, last + 1):
                self.seen.setdefault(pattern.data[at : at + size], []).append((at, pattern))
            count += stride
        while len(self.seen) < count:
            # Some are equal. Their number must not be visible.
            self.seen[secrets.token_bytes(size)] = []
        self._table: _Table | None = None

    def spans(self, data: bytes, place: int) -> Iterator[tuple[int, int]]:
        """The spans of the patterns whose run is at this offset."""
        for before, pattern in self.seen.get(data[place : place + self.size], ()):
            span = pattern.span(data, place - before)
            if span is not None:
                yield span

    def places(self, prints: Array) -> list[int]:
        """The positions of those fingerprints that belong to a run."""
        if self._table is None:
            words = -(-self.size // _WORD)
            rows = b"".join(run.ljust(words * _WORD, b"\0") for run in self.seen)
            self._table = _Table(_Fingerprints(rows, 0, len(rows)).of(self.size)[::words])
        return self._table.places(prints)


class _Fingerprints:
    """Of each run of bytes, from every eighth byte on; at most so many words are read."""

    def __init__(self, data: bytes, start: int, most: int) -> None:
        self._data = data
        self._start = start
        self._most = most
        # So that the uppermost bits depend on all others of each word.
        self._known = {1: self._words(start) * _factor(0)}

    def of(self, size: int) -> Array:
        words, rest = divmod(size, _WORD)
        found = self._of(words)
        if rest:
            # Of the last word a part was in the one before.
            last = self._words(self._start + size - _WORD) * _factor(-1)
            found = found[: len(last)] + last[: len(found)]
        return found

    def _of(self, count: int) -> Array:
        """Of so many words: of two runs of half as many, and so on, which takes few steps."""
        if count not in self._known:
            half = 1 << (count - 1).bit_length() - 1
            first, second = self._of(half), self._of(count - half)[half:]
            made = second * _factor(half)
            made += first[: len(made)]
            self._known[count] = made
        return self._known[count]

    def _words(self, start: int) -> Array:
        count = min(self._most, max(0, len(self._data) - start) // _WORD)
        return np.frombuffer(self._data, "<u8", count, start) if count else np.empty(0, np.uint64)


@functools.cache
def _factor(_step: int) -> Any:
    """An odd number, so that no difference is lost by it; another one for each of the steps."""
    return np.uint64(secrets.randbits(64) | 1)


class _Table:
    """Fingerprints, each at a place that follows from itself: one of one place, or one of two (cuckoo hashing, Pagh and
    Rodler 2001), which are looked at for all."""

    def __init__(self, prints: Array) -> None:
        for bits in range(_FEWEST_BITS, _SINGLE_BITS + 1):
            self._halves = [_Half(bits)]
            if not len(self._halves[0].put(prints)):
                return
        while not self._put_by_turns(prints, max(_FEWEST_BITS, (len(prints) * 5 // 4).bit_length())):
            pass

    def _put_by_turns(self, prints: Array, bits: int) -> bool:
        """A displaced fingerprint moves to its other slot."""
        self._halves = [_Half(bits), _Half(bits, secrets.randbits(64) | 1)]
        for turn in range(_MOST_TURNS):
            prints = self._halves[turn % 2].put(prints)
            if not len(prints):
                return True
        return False

    def places(self, prints: Array) -> list[int]:
        """The positions of those fingerprints that it contains."""
        hits = self._halves[0].has(prints)
        for half in self._halves[1:]:
            hits |= half.has(prints)
        if not np.count_nonzero(hits):
            return []
        found: list[int] = np.flatnonzero(hits).tolist()
        return found


class _Half:
    """By the uppermost bits, or by those of the product with an odd number."""

    def __init__(self, bits: int, factor: int = 1) -> None:
        self._shift = np.uint64(64 - bits)
        self._factor = np.uint64(factor)
        # An empty slot holds a value that belongs in another slot, so it is never found.
        self._known = (~np.arange(1 << bits, dtype=np.uint64) << self._shift) * np.uint64(
            pow(factor, -1, 1 << 64)
        )
        self._used = np.zeros(1 << bits, np.bool_)

    def put(self, prints: Array) -> Array:
        """The fingerprints that have no slot now, of these or of earlier ones."""
        index = self._index(prints)
        before, used = self._known[index], self._used[index]
        self._known[index] = prints
        self._used[index] = True
        placed = self._known[index] == prints
        return np.append(prints[~placed], before[placed & used])

    def has(self, prints: Array) -> Array:
        return self._known.take(self._index(prints), mode="clip") == prints

    def _index(self, prints: Array) -> Array:
        product = prints if self._factor == 1 else prints * self._factor
        return (product >> self._shift).view(np.int64)
