"""Parses the heads of requests and responses (RFC 9112), strictly, and determines the length of their bodies.

llhttp parses; ambiguities that it accepts are refused here. No body is read, nothing is sent, and only framing headers
are interpreted.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import httptools

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 200

# RFC 9112 3: every implementation accepts 8,000; S3's presigned URLs and search URLs are longer.
_MAX_TARGET_BYTES = 32 * 1024

END = b"\r\n\r\n"

Framing = Literal["length", "chunked", "close"]
Headers = list[tuple[str, str]]


class BadHead(Exception):
    """Not HTTP/1.x, or ambiguous. The message is our own text."""


@dataclass(frozen=True)
class Head:
    """What both kinds share. Names as written, values in latin-1; `names` are all names in lower case.

    `length` belongs to the framing `length`.
    """

    version: str
    headers: Headers = field(repr=False)
    names: frozenset[str]
    framing: Framing
    length: int

    def values(self, name: str) -> list[str]:
        """All values of a header, named in lower case."""
        if name not in self.names:
            return []
        return [value for found, value in self.headers if found.lower() == name]

    def tokens(self, name: str) -> list[str]:
        """The members of a list header, in lower case (RFC 9110 5.6.1)."""
        if name not in self.names:
            return []
        parts = ",".join(self.values(name)).lower().split(",")
        return [part.strip() for part in parts if part.strip()]

    @functools.cached_property
    def persistent(self) -> bool:
        """Whether the connection stays open after this message (RFC 9112 9.3)."""
        connection = self.tokens("connection")
        return "close" not in connection and (self.version == "1.1" or "keep-alive" in connection)


@dataclass(frozen=True)
class RequestHead(Head):
    method: str
    target: str = field(repr=False)

    @functools.cached_property
    def expected(self) -> str:
        """What the client expects of the service (RFC 9110 10.1.1). Empty: nothing, or HTTP/1.0, which does not have
        it."""
        expected = [token for value in self.values("expect") for token in value.split(",") if token.strip()]
        return ", ".join(token.strip() for token in expected) if self.version == "1.1" else ""

    @property
    def awaits_word(self) -> bool:
        """Whether its body waits for a `100 Continue`."""
        return bool(self.expected) and "100-continue" in self.tokens("expect")


@dataclass(frozen=True)
class ResponseHead(Head):
    """Framing as for an answer to a method other than HEAD and CONNECT; the caller handles those."""

    status: int
    reason: str


class _Found:
    """Callbacks of httptools."""

    def __init__(self) -> None:
        self.headers: Headers = []
        self.names: set[str] = set()
        self.url = b""
        self.status = b""
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_status(self, status: bytes) -> None:
        self.status += status

    def on_header(self, name: bytes, value: bytes) -> None:
        text = name.decode("latin-1")
        self.headers.append((text, value.decode("latin-1")))
        self.names.add(text.lower())

    def on_headers_complete(self) -> None:
        self.complete = True


def request_head(data: bytes) -> RequestHead:
    """`data` is exactly the head, with its empty line.

    Raises: BadHead: also for CONNECT, and a target that is not of the form `/path?query`.
    """
    found = _Found()
    parser = httptools.HttpRequestParser(found)
    _feed(parser, data, found)
    target = found.url.decode("latin-1")
    if not target.startswith("/"):
        raise BadHead("only a path can be requested")
    if len(target) > _MAX_TARGET_BYTES:
        raise BadHead("the request target is too long")
    framing, length = _framing(found, "length")
    method = parser.get_method().decode("ascii")
    version = _version(parser)
    if version == "1.1" and len(_values(found, "host")) != 1:
        raise BadHead("it needs exactly one Host header")
    return RequestHead(
        version=version,
        headers=found.headers,
        names=frozenset(found.names),
        framing=framing,
        length=length,
        method=method,
        target=target,
    )


def response_head(data: bytes) -> ResponseHead:
    """`data` is exactly the head, with its empty line. Raises: BadHead."""
    found = _Found()
    parser = httptools.HttpResponseParser(found)
    _feed(parser, data, found)
    framing, length = _framing(found, "close")
    status = parser.get_status_code()
    if status < 100:
        # RFC 9110 15: not even valid for an interim answer.
        raise BadHead("the status is not valid")
    return ResponseHead(
        version=_version(parser),
        headers=found.headers,
        names=frozenset(found.names),
        framing=framing,
        length=length,
        status=status,
        reason=found.status.decode("latin-1"),
    )


Parser = TypeVar("Parser", httptools.HttpRequestParser, httptools.HttpResponseParser)


def _feed(parser: Parser, data: bytes, found: _Found) -> None:
    if len(data) > MAX_HEAD_BYTES:
        raise BadHead("the head is too long")
    lines = data.count(b"\r\n")
    # Bare CR or LF, NUL, and folded lines (RFC 9112 2.2, 5.2) are ambiguous.
    if data.count(b"\n") != lines or data.count(b"\r") != lines or b"\0" in data:
        raise BadHead("a line contains a bare CR, LF or NUL")
    if b"\n " in data or b"\n\t" in data:
        raise BadHead("a header is folded over several lines")
    if lines > MAX_HEADERS + 2:
        raise BadHead("there are too many headers")
    try:
        parser.feed_data(data)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError:
        raise BadHead("this is not HTTP") from None
    # Fewer headers than lines: the parser saw another end than we did.
    if not found.complete or len(found.headers) != lines - 2:
        raise BadHead("the end of the head is ambiguous")


def _version(parser: Parser) -> str:
    version = parser.get_http_version()
    if version not in ("1.0", "1.1"):
        raise BadHead("the HTTP version is not supported")
    return version


def _framing(found: _Found, otherwise: Framing) -> tuple[Framing, int]:
    """RFC 9112 6.3, without the ambiguous forms."""
    coded, lengths = "transfer-encoding" in found.names, "content-length" in found.names
    if coded:
        codings = _values(found, "transfer-encoding")
        if lengths or len(codings) != 1 or codings[0].strip().lower() != "chunked":
            raise BadHead("the length of the body is ambiguous")
        return "chunked", 0
    if lengths:
        values = _values(found, "content-length")
        # More than 18 digits overflow somewhere.
        if len(values) != 1 or not (values[0].isascii() and values[0].isdecimal() and len(values[0]) <= 18):
            raise BadHead("the length of the body is ambiguous")
        return "length", int(values[0])
    return otherwise, 0


def _values(found: _Found, name: str) -> list[str]:
    return [value for header, value in found.headers if header.lower() == name]
