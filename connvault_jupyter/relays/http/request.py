"""One HTTP request to the upstream, without its body. A plain value: it does not parse, send or log in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from ...errors import UpstreamRefused
from .cookie_names import cookie_name, cookie_pairs


@dataclass(frozen=True)
class Request:
    """`target` is the path and query on the upstream, as in the request line (RFC 9112 3.2.1).

    `headers` are (name, value) in order, names as the client wrote them, values in latin-1; `Host` is the
    connection's. Framing headers (`Content-Length`, `Transfer-Encoding`) are there and must stay as they are. With a
    login applied, target and headers hold secrets, so neither is in the repr.
    """

    method: str
    target: str = field(repr=False)
    headers: list[tuple[str, str]] = field(repr=False)

    def header(self, name: str) -> str | None:
        """The first value of this name, ignoring case; `None`: there is none."""
        wanted = name.lower()
        return next((value for found, value in self.headers if found.lower() == wanted), None)

    def without(self, *names: str) -> Request:
        """Without the headers of these names, in any case."""
        dropped = {name.lower() for name in names}
        return replace(
            self, headers=[(name, value) for name, value in self.headers if name.lower() not in dropped]
        )

    def with_header(self, name: str, value: str) -> Request:
        """With this header, which replaces those of the same name."""
        made = self.without(name)
        return replace(made, headers=[*made.headers, (name, value)])


def with_cookies(request: Request, ours: Mapping[str, str]) -> Request:
    """The request with the handle's own cookies, and the client's cookies of other names."""
    if not ours:
        return request
    theirs = [
        pair
        for name, value in request.headers
        if name.lower() == "cookie"
        for pair in cookie_pairs(value)
        if cookie_name(pair) not in ours
    ]
    return request.with_header(
        "Cookie", "; ".join([*theirs, *(f"{name}={value}" for name, value in ours.items())])
    )


def serialised(request: Request) -> bytes:
    """The head as sent. Raises: UpstreamRefused: a value would start a new line."""
    lines = [f"{request.method} {request.target} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    try:
        wire = "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"
    except UnicodeEncodeError:
        raise UpstreamRefused("The request contains characters that can't be sent.") from None
    if wire.count(b"\n") != len(lines) + 1 or wire.count(b"\r") != len(lines) + 1:
        raise UpstreamRefused("The request contains characters that can't be sent.")
    return wire
