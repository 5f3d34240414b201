r"""Brings content to one normal form, in which a secret stands as itself, however its characters were spelled.

    squeeze   NUL, CR and LF go: UTF-16 of both kinds is plain text then, and Base64 in lines is one
    unescape  up to four times: JSON and the like (`\u002B`, `\/`, `\"`, `\x2b`), HTML (`&#43;`, `&#x2b;`, `&plus;`),
              percent; at last `+` is a space

Each step is taken where its sign is in the content, so what it costs depends on the content alone: no secret is known
here. It is not a parser of any of these languages: it reads each escape wherever one could be, and a run of backslashes
as one. What is looked for is brought to the same form.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from html.entities import html5
from typing import Any

import numpy as np

Array = Any
"""A numpy array; their types say nothing that these functions' names don't."""

_Read = Callable[[Array, Array, Array], bool]
"""(before, after, kept) -> whether there was anything to read. `after` and `kept` are what is to become of it."""

DROPPED = b"\0\r\n"

# An entity with its `;`: `#x002B;` is the longest of the usual ones. Eight bytes are compared at once.
_ENTITY_BYTES = 8

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
    """`data`, and where each of its bytes stood before."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        # What each step has kept of what it was given.
        self._kept: list[Array] = []
        # Where those bytes stood, worked out once for all that is found.
        self._places: list[Array] | None = None

    def raw(self, start: int, end: int) -> tuple[int, int]:
        """Where the bytes from `start` to `end` stood in what the form was made of, with all of their spelling."""
        if self._places is None:
            self._places = [np.flatnonzero(kept) for kept in self._kept]
        for kept, places in zip(reversed(self._kept), reversed(self._places), strict=True):
            start = int(places[start])
            if isinstance(kept, _Dropped):
                end = int(places[end - 1]) + 1
            else:
                # The first byte of a spelling was left in its place, and the rest of it goes up to the next one.
                end = int(places[end]) if end < len(places) else len(kept)
        return start, end

    def squeezed(self) -> Form:
        """Without NUL and line ends; itself, if there are none."""
        data = self.data
        if b"\0" in data and data.count(b"\0") * _SPARSE > len(data):
            data = data.translate(None, DROPPED)
        for byte in (b"\n", b"\r", b"\0"):
            if byte in data:
                # Faster than `translate` where there are few.
                data = data.replace(byte, b"")
        return self if len(data) == len(self.data) else self._made(data, _Dropped(self.data))

    def unescaped(self) -> Form:
        """With every escape read; itself, if there is none."""
        made = self
        for _ in range(_ROUNDS):
            before = made
            readers = [read for sign, read in _READERS if sign in made.data]
            if readers:
                made = made._after(readers)
            if made is before:
                break
        if b"+" in made.data:
            folded = Form(made.data.replace(b"+", b" "))
            folded._kept = made._kept
            made = folded
        return made

    def _after(self, readers: Sequence[_Read]) -> Form:
        size = len(self.data)
        # With room behind the end, so that what is behind an escape can be looked at without looking where it ends.
        before = np.frombuffer(self.data + bytes(_ROOM), np.uint8)
        after, kept = before.copy(), np.ones(size + _ROOM, np.bool_)
        kept[size:] = False
        # No escape of one kind has the sign of another one within it.
        found = [read(before, after, kept) for read in readers]
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
    """In which a secret is looked for: as it is if it is no text; else squeezed and, if that is another, unescaped."""
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
    """Of UTF-16 too. An archive or an image has a control character for nine bytes."""
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


def _json(before: Array, after: Array, kept: Array) -> bool:
    r"""A run of backslashes with what follows it: JSON, JavaScript, Python's and Redis's way to print a string."""
    first = last = np.flatnonzero(before == 0x5C)
    begins = np.diff(first, prepend=-2) != 1
    runs = not begins.all()
    if runs:
        # One backslash is left of a run, at its beginning, unless more is known below.
        kept[first] = False
        last = first[np.append(begins[1:], True)]
        first = first[begins]
        kept[first] = True
    sign = before[last + 1]
    kinds = _SIGNS[sign]
    if not (runs or kinds.any()):
        return False

    plain = kinds == _PLAIN
    after[first[plain]] = sign[plain]
    kept[last[plain] + 1] = False

    ends = kinds == _LINE_END
    after[first[ends]] = 0x0A
    kept[last[ends] + 1] = False

    short = np.flatnonzero(kinds == _SHORT)
    if len(short):
        high, low = _HEX[before[last[short] + 2]], _HEX[before[last[short] + 3]]
        known = (high | low) < 16
        short = short[known]
        after[first[short]] = high[known] * 16 + low[known]
        for place in (1, 2, 3):
            kept[last[short] + place] = False

    long = np.flatnonzero(kinds == _LONG)
    if len(long):
        first, last = first[long], last[long]
        digits = [_HEX[before[last + place]] for place in range(2, 6)]
        known = (digits[0] | digits[1] | digits[2] | digits[3]) < 16
        points = np.zeros(len(last), np.int32)
        for digit in digits:
            points <<= 4
            points |= digit
        _read_utf16(points[known], first[known], last[known], after, kept)
    return True


def _read_utf16(points: Array, first: Array, last: Array, after: Array, kept: Array) -> None:
    """The characters of escapes that begin and whose backslashes end there."""
    for place in range(1, 6):
        kept[last + place] = False
    # The two halves of what is beyond U+FFFF are two escapes (RFC 8259 7).
    high, low = np.zeros((2, len(points)), np.bool_)
    high[:-1] = (points[:-1] >> 10 == 0x36) & (points[1:] >> 10 == 0x37) & (first[1:] == last[:-1] + 6)
    low[1:] = high[:-1]
    points[high] = 0x10000 + ((points[high] & 0x3FF) << 10) + (points[low] & 0x3FF)
    kept[first[low]] = False
    _utf8(points[~low], first[~low], after, kept)


def _utf8(points: Array, places: Array, after: Array, kept: Array) -> None:
    """Writes characters there, each of which has room for its bytes (RFC 3629 3)."""
    for lowest, highest, count in (
        (0, 0x7F, 1),
        (0x80, 0x7FF, 2),
        (0x800, 0xFFFF, 3),
        (0x10000, 0x10FFFF, 4),
    ):
        those = (points >= lowest) & (points <= highest)
        point, place = points[those], places[those]
        for number in range(count if len(point) else 0):
            left = count - 1 - number
            lead = 0x80 if number else (0, 0xC0, 0xE0, 0xF0)[count - 1]
            byte = (point >> 6 * left & (0x3F if count > 1 else 0x7F)) | lead
            after[place + number] = byte.astype(np.uint8)
            kept[place + number] = True


def _html(before: Array, after: Array, kept: Array) -> bool:
    """Character references of ASCII and Latin-1."""
    places = np.flatnonzero(before == 0x26)
    keys = np.zeros(len(places), np.uint64)
    length = np.zeros(len(places), np.uint8)
    for place in range(_ENTITY_BYTES):
        byte = before[places + 1 + place]
        # What follows its end is no part of it.
        keys |= np.where(length == 0, byte, 0).astype(np.uint64) << np.uint64(8 * place)
        length[(length == 0) & (byte == 0x3B)] = place + 1
    names, characters = _entities()
    at = np.minimum(np.searchsorted(names, keys), len(names) - 1)
    known = (names[at] == keys) & (length > 0)
    places, length, points = places[known], length[known], characters[at[known]]
    for place in range(1, int(length.max(initial=0)) + 1):
        kept[places[length >= place] + place] = False
    _utf8(points, places, after, kept)
    return bool(len(places))


def _percent(before: Array, after: Array, kept: Array) -> bool:
    """RFC 3986 2.1."""
    places = np.flatnonzero(before == 0x25)
    high, low = _HEX[before[places + 1]], _HEX[before[places + 2]]
    known = (high | low) < 16
    places = places[known]
    after[places] = high[known] * 16 + low[known]
    kept[places + 1] = False
    kept[places + 2] = False
    return bool(len(places))


def _hexadecimal() -> Array:
    values = np.full(256, 0xFF, np.uint8)
    for value, digit in enumerate("0123456789abcdef"):
        values[[ord(digit), ord(digit.upper())]] = value
    return values


_HEX = _hexadecimal()

_READERS: tuple[tuple[bytes, _Read], ...] = ((b"\\", _json), (b"&", _html), (b"%", _percent))

# What a backslash is before.
_PLAIN, _LINE_END, _SHORT, _LONG = 1, 2, 3, 4
_SIGNS = np.zeros(256, np.uint8)
_SIGNS[list(b"\"'/")] = _PLAIN
_SIGNS[list(b"nr")] = _LINE_END
_SIGNS[ord("x")], _SIGNS[ord("u")] = _SHORT, _LONG


@functools.cache
def _entities() -> tuple[Array, Array]:
    """What may stand between `&` and `;`, with it, as numbers in their order; and the characters."""
    found: dict[bytes, int] = {}
    for name, text in html5.items():
        if name.endswith(";") and len(name) <= _ENTITY_BYTES and len(text) == 1 and ord(text) < 0x100:
            found[name.encode()] = ord(text)
    for point in (*range(0x20, 0x7F), *range(0xA0, 0x100)):
        for zeros in ("", "0", "00", "000", "0000"):
            spelled = [f"#{zeros}{point};"]
            for mark in "xX":
                digits = f"{point:x}"
                spelled += [
                    f"#{mark}{zeros}{high}{low};"
                    for high in {digits[0], digits[0].upper()}
                    for low in {digits[1], digits[1].upper()}
                ]
            found.update((one.encode(), point) for one in spelled if len(one) <= _ENTITY_BYTES)
    keys = [int.from_bytes(one, "little") for one in found]
    order = sorted(range(len(keys)), key=keys.__getitem__)
    points = list(found.values())
    return (
        np.array([keys[number] for number in order], np.uint64),
        np.array([points[number] for number in order], np.int32),
    )
