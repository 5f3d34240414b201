"""Text that asking code says about itself: made fit for a dialog and the record. It is never believed, only shown.

Nothing that was found out (paths, kernels, pids) is handled here.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

# `contracts.contract.Claim`: long enough for a sentence.
MAX_CLAIM_CHARS = 200

MASK = "[secret]"

# Masking every "a" because a password is "a" would spell the password out. Shorter secrets are not masked.
MIN_MASKED_CHARS = 4

# Control, format (bidirectional and zero width), surrogate, private use, line and paragraph separators.
_STRIPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})


def cleaned(text: str | None, *, limit: int = MAX_CLAIM_CHARS) -> str | None:
    """`text` on one line, without control and bidirectional characters, at most `limit` characters; `None` if empty."""
    if not text:
        return None
    spaced = "".join(" " if char in "\t\r\n\u2028\u2029" else char for char in text)
    plain = "".join(char for char in spaced if unicodedata.category(char) not in _STRIPPED)
    return " ".join(plain.split())[:limit].rstrip() or None


def masked(text: str | None, secrets: Iterable[str], *, limit: int = MAX_CLAIM_CHARS) -> str | None:
    """`cleaned`, with every one of `secrets` replaced wherever it stands in the text, as it is or cleaned.

    Only the values that the caller could know belong in `secrets`: those of the connection that is asked for.
    """
    if not text:
        return None
    # The longest first, so that one secret inside another does not leave a rest.
    values = sorted({value for value in secrets if len(value) >= MIN_MASKED_CHARS}, key=len, reverse=True)
    found = text
    for value in values:
        found = found.replace(value, MASK)
    # Uncut first: a secret that the limit would cut through must be found whole.
    plain = cleaned(found, limit=len(found))
    for value in values:
        tidy = cleaned(value, limit=len(value))
        if plain and tidy and len(tidy) >= MIN_MASKED_CHARS:
            plain = plain.replace(tidy, MASK)
    return cleaned(plain, limit=limit)
