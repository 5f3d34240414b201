"""The cookies by which a service recognises one handle's login. They stay here and end with the handle.

A session cookie is a login that outlives the permission, so code must not have it, but many services don't work
without (a crumb valid for one session, a CSRF pair). So cookies that scripts in a page can't read either (`HttpOnly`),
and those that a kind names, are kept for the handle and sent with its requests. All others pass both ways. Paths and
expiry are handled by `http.cookiejar` (RFC 6265); there is only one host, the connection's.
"""

from __future__ import annotations

import email.message
import threading
import urllib.request
from collections.abc import Container
from http.cookiejar import CookieJar
from typing import Any, cast

from .cookie_names import cookie_name, cookie_pairs
from .heads import Headers
from .origin import Origin

# RFC 6265 6.1 requires room for 50 per domain.
_MAX_COOKIES = 64
_MAX_COOKIE_BYTES = 8 * 1024


class Jar:
    """The cookies of one handle, for one login of it. Thread-safe."""

    def __init__(self, origin: Origin, names: Container[str]) -> None:
        self._origin = f"{origin.scheme}://{origin.authority}"
        self._names = names
        self._lock = threading.Lock()
        self._jar = CookieJar()
        # Path and name of each, oldest first: Python 3.10 lists a jar by name.
        self._order: dict[tuple[str, str], None] = {}

    def taken(self, headers: Headers, target: str) -> Headers:
        """Keeps the session cookies of an answer to a request for `target`; returns the headers without them."""
        left: Headers = []
        ours = email.message.Message()
        with self._lock:
            known = {cookie.name for cookie in self._jar}
            for name, value in headers:
                if name.lower() == "set-cookie" and self._is_ours(value, known):
                    if len(value) <= _MAX_COOKIE_BYTES:
                        ours[name] = value
                else:
                    left.append((name, value))
            if len(ours):
                self._jar.extract_cookies(cast(Any, _Answer(ours)), self._asked(target))
                self._end_oldest()
        return left

    def _end_oldest(self) -> None:
        kept = {(cookie.path, cookie.name): cookie for cookie in self._jar}
        self._order = {key: None for key in (*self._order, *kept) if key in kept}
        for key in list(self._order)[: max(0, len(kept) - _MAX_COOKIES)]:
            self._jar.clear(kept[key].domain, *key)

    def for_target(self, target: str) -> dict[str, str]:
        """The cookies to send with a request for it, by name."""
        with self._lock:
            asked = self._asked(target)
            self._jar.add_cookie_header(asked)
            pairs = cookie_pairs(str(asked.get_header("Cookie") or ""))
        return {cookie_name(pair): pair.partition("=")[2] for pair in pairs}

    def _is_ours(self, value: str, known: Container[str]) -> bool:
        first, *attributes = value.split(";")
        name = cookie_name(first)
        # A kept cookie can also be changed or ended by an unmarked one.
        return (
            name in self._names
            or name in known
            or any(cookie_name(attribute).lower() == "httponly" for attribute in attributes)
        )

    def _asked(self, target: str) -> urllib.request.Request:
        return urllib.request.Request(self._origin + target)  # noqa: S310 -- nothing is opened


class _Answer:
    """An answer, as far as `http.cookiejar` reads it."""

    def __init__(self, headers: email.message.Message) -> None:
        self._headers = headers

    def info(self) -> email.message.Message:
        return self._headers
