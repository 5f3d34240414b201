"""The cookie jar of a handle: created when a service sets the first cookie for its login, dropped with the handle.

Most services set none, so `http.cookiejar` is only imported when one does.
"""

from __future__ import annotations

import threading
from collections.abc import Container
from typing import TYPE_CHECKING

from ..downstream import Handle, Login
from .heads import Headers
from .origin import Origin

if TYPE_CHECKING:
    from .cookies import Jar

# In `Handle.kept`.
_COOKIES = "cookies"

_making = threading.Lock()


class Jars:
    """For one handle, whose clients share the cookies. A changed secret or field starts a new jar."""

    def __init__(self, handle: Handle) -> None:
        self._kept = handle.kept

    def for_target(self, target: str, login: Login) -> dict[str, str]:
        """The cookies to send with a request for it, by name."""
        jar = self._jar(login)
        return jar.for_target(target) if jar is not None else {}

    def taken(
        self, headers: Headers, *, target: str, login: Login, origin: Origin, names: Container[str]
    ) -> Headers:
        """Keeps the session cookies of an answer to a request for `target`; returns the headers without them."""
        if not any(name.lower() == "set-cookie" for name, _ in headers):
            return headers
        with _making:
            jar = self._jar(login)
            if jar is None:
                from .cookies import Jar

                jar = Jar(origin, names)
                self._kept[_COOKIES] = (_version(login), jar)
        return jar.taken(headers, target)

    def _jar(self, login: Login) -> Jar | None:
        found: tuple[tuple[int, str], Jar] | None = self._kept.get(_COOKIES)
        return found[1] if found is not None and found[0] == _version(login) else None


def _version(login: Login) -> tuple[int, str]:
    return login.revision, login.rotation
