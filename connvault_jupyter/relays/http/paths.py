"""How servers could read a path: whether some of them would go up by it, or stop in the middle. No pin is known here.

A path is read as the most careless server would: decoded more than once, also in forms that only some decode
(`%u002e`), with look-alikes of dots and slashes taken for them, with backslashes for slashes, and cut off where another
part could begin. What is no UTF-8 has more readings than can be tried: an overlong `%c0%ae` is a dot to some.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from urllib.parse import unquote

# Servers in front of servers decode more than once; one that needs more than this is an attack.
_DECODINGS = 8

# Microsoft's own: IIS and classic ASP decode it.
_WIDE = re.compile(r"%[uU]([0-9A-Fa-f]{4})")

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Where a segment could end, and what could be cut off of it: parameters (RFC 3986 3.3), an encoded query or fragment.
_SEPARATORS = re.compile(r"[/\\]")
_CUT_OFF = re.compile(r"[;?#]")

# Windows and its relatives drop spaces and further dots at the end of a name; a form's space is a plus.
_DOTS = re.compile(r"[\s+]*\.[.\s+]*")
_UP = re.compile(r"[\s+]*\.[\s+]*\.[.\s+]*")

# Besides what Unicode calls compatible (NFKC: full width, small forms, leaders): Windows' best fit, IDNA's dots.
_LOOK_ALIKE = str.maketrans(
    {
        "\u2044": "/", "\u2215": "/", "\u29f8": "/", "\u2571": "/", "\u2216": "\\", "\u29f5": "\\", "\u29f9": "\\",
        "\u3002": ".", "\uff61": ".", "\u00b7": ".", "\u2219": ".", "\u22c5": ".",
    }
)  # fmt: skip


def has_control(path: str) -> bool:
    """Whether a NUL or another control character comes out of it: programs in C stop there, others drop it."""
    return "%" in path and any(map(_CONTROL.search, _stages(path)))


def has_separator(name: str) -> bool:
    """Whether some server could find a slash in it, or nobody can say what it would find."""
    stages = _stages(name)
    if len(stages) > _DECODINGS:
        return True
    for stage in stages:
        try:
            text = stage.encode("latin-1").decode("utf-8")
        except UnicodeError:
            return True
        if _SEPARATORS.search(text) or _SEPARATORS.search(_plain(text)):
            return True
    return False


def leads_up(path: str) -> bool:
    """Whether some server could find a `.` or `..` in it, or nobody can say what it would find."""
    if "%" not in path:
        return _has_dots(path, _DOTS)
    stages = _stages(path)
    if len(stages) > _DECODINGS:
        return True
    for stage in stages:
        try:
            text = stage.encode("latin-1").decode("utf-8")
        except UnicodeDecodeError:
            return True
        if _has_dots(text, _DOTS) or (not text.isascii() and _has_dots_in_disguise(text)):
            return True
    return False


# Asked for twice in a row; a client's paths are as long as its requests, so no more are kept.
@functools.lru_cache(maxsize=1)
def _stages(path: str) -> tuple[str, ...]:
    """The path as it is and after each decoding that changes it, as bytes in Latin-1: nine at most."""
    found = [path]
    while "%" in path and len(found) <= _DECODINGS:
        further = unquote(_WIDE.sub(_as_bytes, path), "latin-1")
        if further == path:
            break
        found.append(path := further)
    return tuple(found)


def _as_bytes(found: re.Match[str]) -> str:
    # A surrogate gives what is no UTF-8.
    return chr(int(found[1], 16)).encode("utf-8", "surrogatepass").decode("latin-1")


def _plain(text: str) -> str:
    # Twice: NFKC makes what the table has, and the table what NFKC has.
    return unicodedata.normalize("NFKC", text.translate(_LOOK_ALIKE)).translate(_LOOK_ALIKE)


def _has_dots_in_disguise(text: str) -> bool:
    plain = _plain(text)
    # Some file systems leave out what has no width (HFS+).
    visible = "".join(char for char in plain if unicodedata.category(char) != "Cf")
    # And some programs all but the lowest byte. A single dot by chance is a letter; two are not.
    narrow = "".join(chr(ord(char) & 0xFF) for char in text)
    return _has_dots(plain, _DOTS) or _has_dots(visible, _DOTS) or _has_dots(narrow, _UP)


def _has_dots(text: str, dots: re.Pattern[str]) -> bool:
    return "." in text and any(
        dots.fullmatch(_CUT_OFF.split(part, maxsplit=1)[0]) for part in _SEPARATORS.split(text)
    )
