"""How a service may spell a secret that it sends back: made here with the standard library, apart from what masks."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping
from urllib.parse import quote, quote_plus


def spellings(secret: str) -> Mapping[str, bytes]:
    """By name; each has all of the secret in it, and nothing else but what its spelling needs."""
    raw = secret.encode()
    escaped = json.dumps(secret)[1:-1]
    url = quote(secret, safe="")
    found = {
        "raw": secret,
        "json": escaped,
        "json with slashes, as PHP": escaped.replace("/", "\\/"),
        "json, as Go": escaped.translate({ord(one): f"\\u{ord(one):04x}" for one in "&<>"}),
        "json without need of ASCII": json.dumps(secret, ensure_ascii=False)[1:-1],
        "json in json": json.dumps(escaped)[1:-1],
        "json, each as an escape": _each(secret, lambda point: f"\\u{point:04x}"),
        "json, each as an escape in capitals": _each(secret, lambda point: f"\\u{point:04X}"),
        "html": html.escape(secret),
        "html without quotes": html.escape(secret, quote=False),
        "html decimal": _each(secret, lambda point: f"&#{point};"),
        "html hexadecimal": _each(secret, lambda point: f"&#x{point:x};"),
        "html decimal without end": _each(secret, lambda point: f"&#{point}"),
        "html hexadecimal without end": _each(secret, lambda point: f"&#x{point:x}"),
        "html hexadecimal in capitals": _each(secret, lambda point: f"&#x{point:04X};"),
        "html named": "".join(_NAMED.get(one, one) for one in secret),
        "url": url,
        "url, slashes kept": quote(secret),
        "encodeURIComponent": quote(secret, safe="!'()*~"),
        "form": quote_plus(secret),
        "url in small letters": _small(url),
        "url twice": quote(url, safe=""),
        "url, each": "".join(f"%{byte:02X}" for byte in raw),
        "url in json": json.dumps(url)[1:-1],
        "html in json": json.dumps(html.escape(secret))[1:-1],
        "mixed": "".join(_MIXED[number % len(_MIXED)](one) for number, one in enumerate(secret)),
    }
    spelled = {name: text.encode() for name, text in found.items()}
    spelled["utf-16-le"] = secret.encode("utf-16-le")
    spelled["utf-16-be"] = secret.encode("utf-16-be")
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        # From the character that its first bit is in.
        own = text[offset * 8 // 6 :]
        spelled[f"base64 at {offset}"] = own
        spelled[f"base64url at {offset}"] = own.translate(bytes.maketrans(b"+/", b"-_"))
        spelled[f"base64 at {offset} in lines"] = own[:5] + b"\r\n" + own[5:17] + b"\n" + own[17:]
        spelled[f"base64 at {offset} in a url"] = quote(own, safe="").encode()
        spelled[f"base64 at {offset} in lines in json"] = own[:9] + b"\\n" + own[9:]
    return spelled


def _small(url: str) -> str:
    first, *rest = url.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in rest)])


def _each(secret: str, spell: Callable[[int], str]) -> str:
    return "".join(spell(ord(one)) for one in secret)


_NAMED = {
    "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;", "+": "&plus;", "/": "&sol;", "=": "&equals;",
    "%": "&percnt;", "!": "&excl;", "_": "&lowbar;",
}  # fmt: skip

_MIXED: tuple[Callable[[str], str], ...] = (
    str,
    lambda one: f"\\u{ord(one):04X}",
    lambda one: "".join(f"%{byte:02x}" for byte in one.encode()),
    lambda one: f"&#{ord(one)};",
    lambda one: "".join(f"%25{byte:02X}" for byte in one.encode()),
    lambda one: f"&#x{ord(one):x};",
)
