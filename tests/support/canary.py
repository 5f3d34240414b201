"""The canary: one unmistakable secret, and the search for it in every disguise in which it could sit in a sink."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import quote

# Has what URLs, conninfo strings, shells and JSON treat specially; long enough never to occur by chance.
CANARY = "Kanari/Vogel+7 %&'\\\"q9Zx-geheim"

_MIN_SHARED = 12
_PLAIN = re.compile(r"[A-Za-z0-9-]+")


def disguises(secret: str = CANARY) -> Mapping[str, bytes]:
    """The bytes to search for, by name: raw, base64 (at each of its three offsets), url, hex, utf-16, reversed."""
    raw = secret.encode()
    found = {
        "raw": raw,
        "json": secret.replace("\\", "\\\\").replace('"', '\\"').encode(),
        "repr": repr(secret)[1:-1].encode(),
        "url": quote(secret, safe="").encode(),
        "url, slashes kept": quote(secret).encode(),
        "hex": raw.hex().encode(),
        "HEX": raw.hex().upper().encode(),
        "utf-16-le": secret.encode("utf-16-le"),
        "utf-16-be": secret.encode("utf-16-be"),
        "reversed": secret[::-1].encode(),
        # Its longest part without special characters: any other way of quoting.
        "part": max(_PLAIN.findall(secret), key=len, default=secret).encode(),
    }
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw)
        # The first and last group depend on the neighbours.
        middle = encoded[4 if offset else 0 : -4]
        assert len(middle) >= _MIN_SHARED
        found[f"base64 at {offset}"] = middle
        found[f"base64url at {offset}"] = middle.replace(b"+", b"-").replace(b"/", b"_")
    return found


def found_in(sink: str | bytes, secret: str = CANARY) -> list[str]:
    """The names of the disguises that occur in `sink`."""
    data = sink.encode("utf-8", "surrogatepass") if isinstance(sink, str) else sink
    return [name for name, needle in disguises(secret).items() if needle in data]
