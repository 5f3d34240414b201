"""How servers could read a path: whether some of them would go up, or stop in the middle. It does not know the
connection's own path.

A path is read as the most careless server would: decoded more than once, also in forms that only some decode
(`%u002e`), with look-alikes treated as dots and slashes, with backslashes for slashes, and cut where another part
could begin. Invalid UTF-8 has more readings than can be tried: an overlong `%c0%ae` is a dot to some.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from urllib.parse import unquote

# Chains of servers may decode more than once; a path that needs more than this is an attack.
_DECODINGS = 8

# Microsoft's own: IIS and classic ASP decode it.
_WIDE = re.compile(r"%[uU]([0-9A-Fa-f]{4})")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Where a segment could end, and what could be cut off: parameters (RFC 3986 3.3), an encoded query or fragment.
_SEPARATORS = re.compile(r"[/\\]")
_CUT_OFF = re.compile(r"[;?#]")

# Windows and its relatives drop spaces and further dots at the end of a name; a form's space is a plus.
_DOTS = re.compile(r"[\s+]*\.[.\s+]*")
_UP = re.compile(r"[\s+]*\.[\s+]*\.[.\s+]*")

# In addition to Unicode's compatibility forms (NFKC: full width, small forms, leaders): Windows' best fit, IDNA's
# dots.
_LOOK_ALIKE = str.maketrans(
    {
        "\u2044": "/", "\u2215": "/", "\u29f8": "/", "\u2571": "/", "\u2216": "\\", "\u29f5": "\\", "\u29f9": "\\",
        "\u3002": ".", "\u00b7": ".", "\u2219": ".", "\u22c5": ".",
    }
)  # fmt: skip


def has_control(path: str) -> bool:
    """Whether decoding yields a NUL or another control character: programs in C stop there, others drop it."""
    return any(map(_CONTROL.search, _stages(path)))


def has_separator(name: str) -> bool:
    """Whether some server could find a slash in it, or the result is unknown."""
    stages = _stages(name)
    if len(stages) > _DECODINGS:
        return True
    for stage in stages:
        try:
            text = stage.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return True
        if _SEPARATORS.search(_plain(text)):
            return True
    return False


def leads_up(path: str) -> bool:
    """Whether some server could find a `.` or `..` in it, or the result is unknown."""
    stages = _stages(path)
    if len(stages) > _DECODINGS:
        return True
    for stage in stages:
        try:
            text = stage.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return True
        if _has_dots(text, _DOTS) or (not text.isascii() and _has_dots_in_disguise(text)):
            return True
    return False


# Called twice in a row. Paths can be as long as requests, so only few are cached.
@functools.lru_cache(maxsize=1)
def _stages(path: str) -> tuple[str, ...]:
    """The path as it is and after each decoding that changes it, as bytes in Latin-1: nine at most."""
    found = [path]
    while len(found) <= _DECODINGS:
        further = unquote(_WIDE.sub(_as_bytes, path), "latin-1")
        if further == path:
            break
        found.append(path := further)
    return tuple(found)


def _as_bytes(found: re.Match[str]) -> str:
    # A surrogate gives invalid UTF-8.
    return chr(int(found[1], 16)).encode("utf-8", "surrogatepass").decode("latin-1")


def _plain(text: str) -> str:
    # Twice: NFKC makes what the table has, and the table what NFKC has.
    return unicodedata.normalize("NFKC", text.translate(_LOOK_ALIKE)).translate(_LOOK_ALIKE)


def _has_dots_in_disguise(text: str) -> bool:
    # Some file systems ignore characters without width (HFS+).
    visible = "".join(char for char in _plain(text) if unicodedata.category(char) != "Cf")
    # Some programs keep only the lowest byte. A single dot may be a letter by chance; two are not.
    narrow = "".join(chr(ord(char) & 0xFF) for char in text)
    return _has_dots(visible, _DOTS) or _has_dots(narrow, _UP)


def _has_dots(text: str, dots: re.Pattern[str]) -> bool:
    return "." in text and any(
        dots.fullmatch(_CUT_OFF.split(part, maxsplit=1)[0]) for part in _SEPARATORS.split(text)
    )
