"""Detects what looks like a secret, by name or by format: for both ends of the channel. Standard library only.

Cells, traits and proposals are stored and shown unprotected, so no secret must get there, not even by mistake. This is
a heuristic: it catches mistakes, not intent.

The broker reads texts of others with it while everybody waits, so each pattern takes a time that grows with the length
of the text, whatever is in it: no two repetitions after one another may match the same characters.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

_SECRET_WORDS = frozenset({"pass", "pwd", "pin", "key", "keys", "credential", "credentials"})
_SECRET_PARTS = ("password", "passwd", "passphrase", "passcode", "secret", "token", "apikey")
# `token_url` and `key_id` are not secrets.
_ABOUT_IT = re.compile(r"_(url|uri|id|type|name|path|file|endpoint|expiry|field|header)$")
_LOGIN_IN_URL = re.compile(r"://[^/?#\s@:]*:[^/?#\s]*@")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_WORDS_AND_SIGNS = re.compile(r"[\w-]+|\S")
_LETTER = re.compile(r"[A-Za-z]")
_OPTION = re.compile(r"(?<![\w-])--?([A-Za-z][\w-]*)\s+\S")


def looks_secret(name: str) -> bool:
    """Whether a field of this name probably holds a secret."""
    lower = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("-", "_").strip("_")
    secret = not _SECRET_WORDS.isdisjoint(lower.split("_")) or any(part in lower for part in _SECRET_PARTS)
    return secret and not _ABOUT_IT.search(lower)


def has_login(value: object) -> bool:
    """Whether a value is a URL that carries a password."""
    return isinstance(value, str) and bool(_LOGIN_IN_URL.search(value))


def mentions_secret(text: str) -> bool:
    """Whether free text contains a secret: `password = x`, `token: x`, `--password x`, a URL with a password, or a
    key."""
    names = {*_assigned(text, "=:"), *(found[1] for found in _OPTION.finditer(text))}
    return has_login(text) or bool(_PRIVATE_KEY.search(text)) or any(looks_secret(name) for name in names)


def holds_secret(value: object) -> bool:
    """Whether the value of a plain field contains a secret: a URL with a password or `token=`, a `password=`, a key. A
    colon is allowed: "API key: billing" is a description."""
    if not isinstance(value, str):
        return False
    named = any(looks_secret(name) for name in {*_assigned(value, "=")})
    return named or has_login(value) or bool(_PRIVATE_KEY.search(value))


def secret_values(
    values: Mapping[str, object], *, secret_fields: Collection[str] = (), plain_fields: Collection[str] = ()
) -> list[str]:
    """The names of values that must not be given here.

    `secret_fields` are the provider's `writeOnly` ones. `plain_fields` are known not to be secret, whatever their
    name.
    """
    return [
        name
        for name, value in values.items()
        if name in secret_fields or (name not in plain_fields and looks_secret(name)) or holds_secret(value)
    ]


def _assigned(text: str, signs: str) -> Iterator[str]:
    """The names that are followed by a sign, and by anything after it."""
    name = sign = ""
    for found in _WORDS_AND_SIGNS.finditer(text):
        part = found[0]
        if sign:
            yield name
        # Only a word's first letter begins a name: `2token=x` assigns to `token`.
        begins = _LETTER.search(part)
        sign = part if name and part in signs else ""
        if not sign:
            name = "" if begins is None else part[begins.start() :]
