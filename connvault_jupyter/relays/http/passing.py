"""A client's request as it may be sent upstream, before its login; and notes for the client about what was left out.

Values where the login goes are replaced. Elsewhere a client may add credentials of its own: a gateway's key and a
user's token are two logins of one request. The handle's token is removed wherever it occurs. Second addresses that a
server acts on are checked like the target (`target_headers`).
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from urllib.parse import quote

from ...errors import NotAllowed
from .authorization import Places, parameter_name
from .client_auth import HandleToken
from .cookie_names import cookie_name, cookie_pairs
from .headers import NEVER_UP, accepted, judged
from .heads import Headers, RequestHead
from .origin import Origin
from .request import Request
from .target_headers import check_query, second_address

# By these a service recognises its own pages, to detect forged requests.
_SAY_FROM_WHERE = frozenset({"origin", "referer"})

# Headers of the answer that name what was not forwarded: what the login replaced, and what would have named another
# address or a session of the login.
REPLACED_HEADER, LEFT_OUT_HEADER = "X-Connvault-Replaced", "X-Connvault-Left-Out"
_MAX_TOLD = 16


@dataclass(frozen=True)
class Passed:
    """A request without its credential; `notes` are headers for its answer that say what was not forwarded."""

    request: Request
    notes: Headers


def upstream_request(
    head: RequestHead,
    origin: Origin,
    *,
    logs_in: bool,
    places: Places,
    cookies: Container[str],
    token: HandleToken,
    upgrade: str,
) -> Passed:
    """`cookies` has the names of cookies that a client can't send. `upgrade`: see `headers.wanted_upgrade`.

    Raises: NotAllowed: a header or parameter names a second address that is not the connection's.
    """
    check_query(head.target, origin)
    target = token.without(head.target)
    sifted = _Sifted(head, origin, places, cookies, token)
    headers = [("Host", origin.authority), *sifted.passing]
    if upgrade and logs_in:
        # A compressed WebSocket could not be searched.
        headers = [pair for pair in headers if pair[0].lower() != "sec-websocket-extensions"]
    headers.append(("Accept-Encoding", accepted(head, logs_in=logs_in)))
    if head.expected:
        headers.append(("Expect", head.expected))
    if head.framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    elif "content-length" in head.names:
        headers.append(("Content-Length", str(head.length)))
    if upgrade:
        headers += [("Connection", "Upgrade"), ("Upgrade", upgrade)]
    replaced = [*sifted.replaced, *_replaced_parameter(target, places)]
    told = ((REPLACED_HEADER, replaced), (LEFT_OUT_HEADER, sifted.left_out))
    notes = [(name, ", ".join(list(dict.fromkeys(names))[:_MAX_TOLD])) for name, names in told if names]
    return Passed(Request(head.method, target, headers), notes)


class _Sifted:
    """The client's own headers: those to forward, the names of those that the login replaces, and of those that were
    left out. Raises: NotAllowed."""

    def __init__(
        self, head: RequestHead, origin: Origin, places: Places, cookies: Container[str], token: HandleToken
    ) -> None:
        self.passing: Headers = []
        self.replaced: list[str] = []
        self.left_out: list[str] = []
        self._head = head
        self._origin = origin
        self._places = places
        self._cookies = cookies
        self._token = token
        self._asked_at = "".join(head.values("host"))
        self._seconds: set[str] = set()
        hops = head.tokens("connection")
        for name, value in head.headers:
            plain, elsewhere, second = judged(name)
            if plain in NEVER_UP or name.lower() in hops:
                continue
            if elsewhere:
                self.left_out.append(plain)
            elif plain == "cookie":
                self._sift_cookies(name, value)
            elif second:
                self._sift_second(name, plain, value)
            else:
                self._sift(name, plain, value)

    def _sift(self, name: str, plain: str, value: str) -> None:
        ours = self._token.stands_in(value)
        if plain not in self._places.headers:
            shown = self._origin.as_own(value, asked_at=self._asked_at) if plain in _SAY_FROM_WHERE else value
            self.passing += [] if ours else [(name, shown)]
        elif not ours:
            self.replaced.append(plain)

    def _sift_second(self, name: str, plain: str, value: str) -> None:
        if self._token.stands_in(value):
            # It belongs only to the handle.
            self.left_out.append(plain)
            return
        if plain in self._seconds:
            # It would be unclear which one counts.
            raise NotAllowed(
                "A header that names a second address appears twice in the request.", reason="ambiguous"
            )
        self._seconds.add(plain)
        judged_value = second_address(
            plain,
            value,
            origin=self._origin,
            asked_at=self._asked_at,
            method=self._head.method,
            target=self._head.target,
        )
        self.passing.append((name, judged_value))

    def _sift_cookies(self, name: str, value: str) -> None:
        theirs = [pair for pair in cookie_pairs(value) if not self._token.stands_in(pair)]
        passing = [pair for pair in theirs if cookie_name(pair) not in self._cookies]
        if len(passing) < len(theirs):
            self.left_out.append("cookie")
        if passing:
            self.passing.append((name, "; ".join(passing)))


def _replaced_parameter(target: str, places: Places) -> list[str]:
    parts = target.partition("?")[2].split("&")
    if places.parameter and any(parameter_name(part) == places.parameter for part in parts):
        return [f"?{quote(places.parameter, safe='')}"]
    return []
