r"""Brings content to one normal form, in which a secret stands as itself, however its characters were spelled.

    squeeze   NUL, CR and LF go: UTF-16 of both kinds is plain text then, and Base64 in lines is one
    unescape  up to four times: JSON and the like (`\u002B`, `\/`, `\"`, `\x2b`), HTML (`&#43;`, `&#x2b;`, `&plus;`),
              percent; at last `+` is a space

Each step runs only if its marker is in the content, so the cost depends only on the content: it knows no secrets. It
is not a parser for any of these languages: it reads escapes wherever they could be, and a run of backslashes as one.
Patterns are brought to the same form.
"""

from __future__ import annotations

import functools
import string
from collections.abc import Callable, Iterator, Sequence
from html.entities import html5
from typing import Any

import numpy as np

Array = Any
"""A numpy array; their types say nothing that these functions' names don't."""

_Read = Callable[[Array, Array, Array, Array], bool]
"""(places, before, after, kept) -> whether there was anything to read at the places of its sign. `after` and `kept` are
what is to become of it."""

DROPPED = b"\0\r\n"

# An entity's name with its `;`: eight bytes are compared at once. The number of one, with zeros before it.
_ENTITY_BYTES = 8
_MOST_DIGITS = 7

# What is escaped twice, within something else, and looks as if something in it were escaped already. Mostly nothing is
# left after one.
_ROUNDS = 4

_CONTROLS = bytes({*range(0x20), 0x7F} - {*b"\0\t\n\f\r\x1b"})
_SAMPLE_BYTES = 1024
# No text has more than one control character for so many bytes, and nothing else as few.
_TEXT = 32

# More than the longest escape has behind its sign.
_ROOM = 16

# Bytes that are taken out one by one if there are fewer than one in so many.
_SPARSE = 64


class Form:
    """`data`, and the original position of each byte."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        # Which bytes of its input each step has kept.
        self._kept: list[Array] = []
        # The positions of those bytes, computed once for all matches.
        self._places: list[Array] | None = None

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """The span in the original content of the bytes from `start` to `end`, including their whole spelling."""
        if self._places is None:
            self._places = [np.flatnonzero(kept) for kept in self._kept]
        for kept, places in zip(reversed(self._kept), reversed(self._places), strict=True):
            start = int(places[start])
            if isinstance(kept, _Dropped):
                end = int(places[end - 1]) + 1
            else:
                # The first byte of a spelling was kept at its position, and the spelling extends to the next kept
                # byte.
                end = int(places[end]) if end < len(places) else len(kept)
        return start, end

    def squeezed(self) -> Form:
        """Without NUL and line ends; itself, if there are none."""
        data = self.data
        if b"\0" in data and data.count(b"\0") * _SPARSE > len(data):
            data = data.translate(None, DROPPED)
        for byte in (b"\n", b"\r", b"\0"):
            if byte in data:
                # Faster than `translate` if there are few.
                data = data.replace(byte, b"")
        return self if len(data) == len(self.data) else self._made(data, _Dropped(self.data))

    def unescaped(self) -> Form:
        """With all escapes decoded; itself, if there are none."""
        made = self
        for _ in range(_ROUNDS):
            before = made
            readers = [(sign, read) for sign, read in _READERS if sign in made.data]
            if readers:
                made = made._after(readers)
            if made is before:
                break
        if b"+" in made.data:
            folded = Form(made.data.replace(b"+", b" "))
            folded._kept = made._kept
            made = folded
        return made

    def _after(self, readers: Sequence[tuple[int, _Read]]) -> Form:
        size = len(self.data)
        # Padded, so that the bytes after an escape can be read without bounds checks.
        before = np.frombuffer(self.data + bytes(_ROOM), np.uint8)
        after, kept = before.copy(), np.ones(size + _ROOM, np.bool_)
        kept[size:] = False
        signs = before == readers[0][0]
        for sign, _ in readers[1:]:
            signs |= before == sign
        places = np.flatnonzero(signs)
        at_them = before.take(places)
        # No escape of one kind has the sign of another one within it.
        found = [read(places[at_them == sign], before, after, kept) for sign, read in readers]
        if not any(found):
            return self
        kept = kept[:size]
        dropped = size - int(np.count_nonzero(kept))
        if dropped * _SPARSE > size:
            return self._made(after[:size][kept].tobytes(), kept)
        data, start, parts = after.tobytes(), 0, []
        for at in np.flatnonzero(~kept).tolist() if dropped else ():
            parts.append(data[start:at])
            start = at + 1
        parts.append(data[start:size])
        return self._made(b"".join(parts), kept)

    def _made(self, data: bytes, kept: Array) -> Form:
        made = Form(data)
        made._kept = [*self._kept, kept]
        return made


def forms(data: bytes) -> Iterator[Form]:
    """The forms to search: unchanged if it is not text; else squeezed and, if different, unescaped."""
    plain = Form(data)
    if not _is_text(data):
        yield plain
        return
    plain = plain.squeezed()
    yield plain
    read = plain.unescaped()
    if read is not plain:
        yield read.squeezed()


def _is_text(data: bytes) -> bool:
    """Also UTF-16. An archive or an image has a control character in every nine bytes."""
    sample = data[:: max(1, len(data) // _SAMPLE_BYTES)]
    return (len(sample) - len(sample.translate(None, _CONTROLS))) * _TEXT <= len(sample)


class _Dropped:
    """What `squeezed` has kept, found out when it is needed: that is rarely so."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __array__(self, dtype: object = None, copy: object = None) -> Array:
        return ~np.isin(np.frombuffer(self._data, np.uint8), list(DROPPED))


def _json(first: Array, before: Array, after: Array, kept: Array) -> bool:
    r"""A run of backslashes with what follows it: JSON, JavaScript, Python's and Redis's way to print a string."""
    last = first
    apart = np.diff(first) != 1
    runs = not apart.all()
    if runs:
        # One backslash of a run is kept, at its start, unless decided otherwise below.
        kept[first] = False
        last = first[np.append(apart, True)]
        first = first[np.append(True, apart)]
        kept[first] = True
    sign = before.take(last + 1)
    kinds = _SIGNS.take(sign)
    if not (runs or kinds.any()):
        return False

    single = np.flatnonzero(kinds == _SINGLE)
    after[first.take(single)] = _MEANT.take(sign.take(single))
    kept[last.take(single) + 1] = False

    short = np.flatnonzero(kinds == _SHORT)
    if len(short):
        digits, known = _digits(before, last.take(short) + 2, 2)
        short = short[known]
        after[first.take(short)] = digits[known]
        for place in (1, 2, 3):
            kept[last.take(short) + place] = False

    long = np.flatnonzero(kinds == _LONG)
    if len(long):
        points, known = _digits(before, last.take(long) + 2, 4)
        long = long[known]
        _read_utf16(points[known], first.take(long), last.take(long), after, kept)
    return True


def _digits(before: Array, places: Array, count: int) -> tuple[Array, Array]:
    """What so many hexadecimal digits are there, and where there are as many."""
    value = np.zeros(len(places), np.int32)
    other = np.zeros(len(places), np.uint8)
    for place in range(count):
        digit = _HEX.take(before.take(places + place))
        value <<= 4
        value |= digit
        other |= digit
    return value, other < 16


def _read_utf16(points: Array, first: Array, last: Array, after: Array, kept: Array) -> None:
    """The characters of escapes whose starts and last backslashes are given."""
    for place in range(1, 6):
        kept[last + place] = False
    halves = points >> 10
    high = halves == 0x36
    if high.any():
        # The two halves of what is beyond U+FFFF are two escapes (RFC 8259 7).
        high[:-1] &= (halves[1:] == 0x37) & (first[1:] == last[:-1] + 6)
        high[-1:] = False
        low = np.append(False, high[:-1])
        points[high] = 0x10000 + ((points[high] & 0x3FF) << 10) + (points[low] & 0x3FF)
        kept[first[low]] = False
        points, first = points[~low], first[~low]
    _utf8(points, first, after, kept)


def _utf8(points: Array, places: Array, after: Array, kept: Array) -> None:
    """Writes characters there; each has enough room for its bytes (RFC 3629 3)."""
    text = points.astype("<u4").tobytes().decode("utf-32-le", "surrogatepass")
    encoded = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    lengths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    # Where the first byte of each goes, less how many bytes come before it.
    shifted = places - np.cumsum(lengths) + lengths
    at = np.repeat(shifted, lengths) + np.arange(len(encoded))
    after[at] = encoded
    kept[at] = True


def _html(places: Array, before: Array, after: Array, kept: Array) -> bool:
    """Character references of ASCII and Latin-1; numeric ones also without `;`, which browsers do not require."""
    begins = before.take(places + 1)
    named = _html_named(places[_LETTER.take(begins)], before, after, kept)
    return _html_numbered(places[begins == 0x23], before, after, kept) or named


def _html_named(places: Array, before: Array, after: Array, kept: Array) -> bool:
    # Eight bytes at once, up to the `;`: in `ends` the highest bit of it is set, and maybe bits above that.
    eight = np.ndarray(len(before) - 7, "<u8", before, 0, (1,))
    keys = eight[places + 1]
    other = keys ^ np.uint64(0x3B3B3B3B3B3B3B3B)
    ends = (other - np.uint64(0x0101010101010101)) & ~other & np.uint64(0x8080808080808080)
    ends &= ~ends + np.uint64(1)
    ends += ends - np.uint64(1)
    keys &= ends
    names, characters, lengths = _entities()
    at = np.minimum(np.searchsorted(names, keys), len(names) - 1)
    known = np.flatnonzero(names.take(at) == keys)
    places, points = places.take(known), characters.take(at.take(known))
    length = lengths.take(at.take(known))
    for place in range(1, int(length.max(initial=0)) + 1):
        kept[places[length >= place] + place] = False
    _utf8(points, places, after, kept)
    return bool(len(places))


def _html_numbered(places: Array, before: Array, after: Array, kept: Array) -> bool:
    marked = (before.take(places + 2) | 0x20) == 0x78
    first = places + 2 + marked
    base = np.where(marked, np.uint8(16), np.uint8(10))
    points, end, goes_on = np.zeros(len(places), np.int32), first.copy(), np.ones(len(places), np.bool_)
    for _ in range(_MOST_DIGITS):
        digit = _HEX.take(before.take(end))
        goes_on &= digit < base
        if not goes_on.any():
            break
        points[goes_on] = points[goes_on] * base[goes_on] + digit[goes_on]
        end += goes_on
    known = np.flatnonzero((end > first) & (points >= 0x20) & (points <= 0x10FFFF) & (points >> 11 != 0x1B))
    places, points, end = places.take(known), points.take(known), end.take(known)
    length = end - places + (before.take(end) == 0x3B)
    for place in range(1, int(length.max(initial=0))):
        kept[places[length > place] + place] = False
    _utf8(points, places, after, kept)
    return bool(len(places))


def _percent(places: Array, before: Array, after: Array, kept: Array) -> bool:
    """RFC 3986 2.1."""
    # A shortcut for text of only percent signs.
    places = places[_HEX.take(before.take(places + 1)) < 16]
    values, known = _digits(before, places + 1, 2)
    places = places[known]
    after[places] = values[known]
    kept[places + 1] = False
    kept[places + 2] = False
    return bool(len(places))


def _hexadecimal() -> Array:
    values = np.full(256, 0xFF, np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        values[[ord(digit), ord(digit.upper())]] = value
    return values


_HEX = _hexadecimal()

_LETTER = np.zeros(256, np.bool_)
_LETTER[list(string.ascii_letters.encode())] = True

_READERS: tuple[tuple[int, _Read], ...] = ((0x5C, _json), (0x26, _html), (0x25, _percent))

# What a backslash is before, and what they mean together.
_SINGLE, _SHORT, _LONG = 1, 2, 3
_SIGNS = np.zeros(256, np.uint8)
_SIGNS[list(b"\"'/nr")] = _SINGLE
_SIGNS[ord("x")], _SIGNS[ord("u")] = _SHORT, _LONG
_MEANT = np.arange(256, dtype=np.uint8)
_MEANT[list(b"nr")] = 0x0A


@functools.cache
def _entities() -> tuple[Array, Array, Array]:
    """What may stand between `&` and `;`, with it, as numbers in their order; the characters; how long each is."""
    found = sorted(
        (int.from_bytes(name.encode(), "little"), ord(text), len(name))
        for name, text in html5.items()
        if name.endswith(";") and len(name) <= _ENTITY_BYTES and len(text) == 1 and ord(text) < 0x100
    )
    keys, points, lengths = zip(*found, strict=True)
    return np.array(keys, np.uint64), np.array(points, np.int32), np.array(lengths)
