"""What a secret looks like in content that was brought to its normal form. Nothing is searched here."""

from __future__ import annotations

import base64

from .normal_form import forms

_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def patterns(secret: str) -> set[bytes]:
    """As it is, within Base64 of either alphabet, and how UTF-16 leaves what is not ASCII; each also as the normal form
    reads it, for a secret that looks as if something in it were escaped."""
    raw = secret.encode()
    found = {raw, *_in_base64(raw)}
    if not secret.isascii():
        found |= {secret.encode("utf-16-le"), secret.encode("utf-16-be")}
    read = {form.data for one in found for form in forms(one)}
    # Where `+` was escaped once more than is read, or stands for itself in a form that is read for something else.
    read |= {one.replace(b"+", b" ") for one in (*found, *read)}
    # What a last backslash is read as depends on what follows it.
    return {one.rstrip(b"\\") for one in found | read}


def _in_base64(raw: bytes) -> set[bytes]:
    """At each of the three places that it may begin at in a longer text, without the characters that it shares with its
    neighbours."""
    found = set()
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw)
        core = text[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        found |= {core, core.translate(_URL_SAFE)}
    return found
