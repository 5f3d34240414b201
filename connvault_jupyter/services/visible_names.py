"""Names and paths as people see them: invisible characters and unusual spaces are spelt out.

    trusted\\u00a0.ipynb  ->  trusted[U+00A0].ipynb

The page has the same rule (`labextension/src/foreignText.ts`); `tests/support/visible_names.json` has vectors for both.
Homoglyphs of other scripts are not flagged. For sentences use `requester_claims.cleaned` instead.
"""

from __future__ import annotations

import hashlib
import re

# Letters, marks and symbols by category, yet (almost) invisible: joiners, fillers, variation selectors, the blanks of
# Braille, hieroglyphs, Khitan and music, the object replacement character.
_UNSEEN = (
    "\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\ufffc"
    "\U00013441\U00013442\U00016fe4\U0001d159\U000e0100-\U000e01ef"
)

# Spaces at an end or side by side, and text that looks like a spelt-out character.
_BLANKS = r"^ +| +\Z| {2,}"
_BRACKET = r"\[(?=U\+)"

_SPELT = re.compile(f"[{_UNSEEN}]|{_BRACKET}|{_BLANKS}")


def visible(name: str, *, limit: int | None = None) -> str:
    """`name` with each invisible character as `[U+200B]`; two names never become the same.

    This covers Unicode's control, format, private and unassigned characters and separators (except single spaces
    between words), plus a short list. `limit`: in a longer result, the middle becomes a digest.
    """
    shown = _SPELT.sub(_codes, name)
    if not shown.isprintable():
        shown = "".join(char if char.isprintable() else _code(char) for char in shown)
    if limit is None or len(shown) <= limit:
        return shown
    digest = f" [{hashlib.sha256(name.encode(errors='surrogatepass')).hexdigest()[:32]}] "
    kept = limit - len(digest)
    return shown[: kept - kept // 2] + digest + shown[len(shown) - kept // 2 :]


def is_visible(text: str) -> bool:
    """Whether nothing in `text` needs to be spelt out."""
    return visible(text) == text


def _codes(found: re.Match[str]) -> str:
    return "".join(_code(char) for char in found[0])


def _code(char: str) -> str:
    return f"[U+{ord(char):04X}]"
