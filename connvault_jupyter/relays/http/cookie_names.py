"""Which cookies are a session of the login, by name, and their syntax. Cookies are kept in `cookies`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Container


class CookieNames(Container[str]):
    """The names of a kind's session cookies, with `*` for any text, in any case. A client can't send these."""

    def __init__(self, patterns: str) -> None:
        self._names = re.compile("|".join(map(fnmatch.translate, patterns.split())) or r"(?!)", re.IGNORECASE)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._names.match(name) is not None


NO_COOKIES = CookieNames("")


def cookie_pairs(value: str) -> list[str]:
    """The members of a `Cookie` header (RFC 6265 4.2.1)."""
    return [pair for part in value.split(";") if (pair := part.strip())]


def cookie_name(pair: str) -> str:
    """The name in one of them, or in what a `Set-Cookie` begins with."""
    return pair.partition("=")[0].strip()
