"""What a secret looks like in content that was brought to its normal form. Nothing is searched here.

By the same steps for each secret, and as many patterns for each, though some are the same: how long it takes is seen by
whoever waits for the first answer.
"""

from __future__ import annotations

import base64
import secrets

from .normal_form import Form

_URL_SAFE = bytes.maketrans(b"+/", b"-_")

# Nobody knows it, so no secret can have it in it, nor an escape that is read as it; and it is no part of an escape.
_BETWEEN = b"\1%s\1" % secrets.token_hex(16).encode()


def patterns(secret: str) -> list[bytes]:
    """As it is, within Base64 of either alphabet, and how UTF-16 leaves what is not ASCII; each also as the normal form
    reads it, for a secret that looks as if something in it were escaped."""
    raw = secret.encode()
    plain = [raw, *_in_base64(raw)]
    if not secret.isascii():
        plain += [secret.encode("utf-16-le"), secret.encode("utf-16-be")]
    read = Form(_BETWEEN.join(plain)).squeezed().unescaped(all_kinds=True).squeezed().data.split(_BETWEEN)
    # The last one: where an escape is left because it was escaped once more than is read.
    found = [*plain, *read, raw.replace(b"+", b" ")]
    # What a last backslash is read as depends on what follows it.
    return [one.rstrip(b"\\") for one in found]


def _in_base64(raw: bytes) -> list[bytes]:
    """At each of the three places that it may begin at in a longer text, without the characters that it shares with its
    neighbours."""
    found = []
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw)
        core = text[(offset * 8 + 5) // 6 : (offset + len(raw)) * 8 // 6]
        found += [core, core.translate(_URL_SAFE)]
    return found
