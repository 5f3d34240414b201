"""What is read as a head or a body, and what is refused because two servers could read it differently. No sockets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.http.bodies import (
    BadBody,
    Body,
    Chunked,
    OfLength,
    UntilClose,
    chunk,
    last_chunk,
)
from connvault_jupyter.relays.http.heads import BadHead, request_head, response_head


def head(*lines: str, line: str = "POST /v1/x HTTP/1.1", host: str = "Host: a") -> bytes:
    return "\r\n".join([line, host, *lines, "", ""]).encode("latin-1")


@pytest.mark.parametrize(
    ("lines", "framing", "length"),
    [
        ((), "length", 0),
        (("Content-Length: 12",), "length", 12),
        (("Transfer-Encoding: chunked",), "chunked", 0),
        (("transfer-encoding:  Chunked ",), "chunked", 0),
    ],
)
def test_how_long_a_request_is(lines: tuple[str, ...], framing: str, length: int) -> None:
    """RFC 9112 6.3."""
    found = request_head(head(*lines))
    assert (found.framing, found.length) == (framing, length)


SMUGGLING = {
    "length and coding": ("Content-Length: 3", "Transfer-Encoding: chunked"),
    "coding and length": ("Transfer-Encoding: chunked", "Content-Length: 3"),
    "two lengths": ("Content-Length: 3", "Content-Length: 4"),
    "the same length twice": ("Content-Length: 3", "Content-Length: 3"),
    "a list of lengths": ("Content-Length: 3, 3",),
    "a signed length": ("Content-Length: +3",),
    "a negative length": ("Content-Length: -3",),
    "a hexadecimal length": ("Content-Length: 0x3",),
    "no length": ("Content-Length:",),
    "a length with a space": ("Content-Length: 1 2",),
    "a length that overflows": ("Content-Length: 18446744073709551617",),
    "another coding": ("Transfer-Encoding: gzip",),
    "two codings": ("Transfer-Encoding: gzip, chunked",),
    "chunked twice": ("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"),
    "chunked, and something": ("Transfer-Encoding: chunked, identity",),
    "identity": ("Transfer-Encoding: identity",),
    "a coding in disguise": ("Transfer-Encoding: xchunked",),
    "a coding behind a tab": ("Transfer-Encoding:\x0bchunked",),
    "a space before the colon": ("Content-Length : 3",),
    "a coding and a space": ("Transfer-Encoding : chunked",),
    "a folded header": ("X: a\r\n b",),
    "a folded coding": ("Transfer-Encoding:\r\n chunked",),
    "a bare line feed": ("X: a\nContent-Length: 3",),
    "a bare carriage return": ("X: a\rContent-Length: 3",),
    "a zero byte": ("X: a\0b",),
    "no colon": ("X",),
    "no name": (": x",),
    "a name with a control character": ("X\x01: a",),
    "two hosts": ("Host: b",),
}


@pytest.mark.parametrize("lines", SMUGGLING.values(), ids=SMUGGLING.keys())
def test_what_could_be_read_in_two_ways_is_refused(lines: tuple[str, ...]) -> None:
    """Request smuggling lives on it."""
    with pytest.raises(BadHead):
        request_head(head(*lines))


@pytest.mark.parametrize(
    "line",
    [
        "GET http://evil.test/ HTTP/1.1", "GET https://a/v1/x HTTP/1.1", "CONNECT evil.test:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1", "GET evil.test HTTP/1.1", "GET  HTTP/1.1", "GET /x HTTP/2.0", "GET /x HTTP/0.9",
        "GET /x HTTP/1.2", "GET /x", "GET /x HTTP/1.1 ", " GET /x HTTP/1.1", "G@T /x HTTP/1.1", "GET /a b HTTP/1.1",
        "GET /\x00 HTTP/1.1", "GET ?x HTTP/1.1", "GET @evil.test/ HTTP/1.1",
    ],
)  # fmt: skip
def test_only_paths_in_http_1_are_asked_for(line: str) -> None:
    """Neither another host, nor a tunnel, nor another version."""
    with pytest.raises(BadHead):
        request_head(head(line=line))


def test_a_head_has_limits() -> None:
    """64 KiB, 200 headers, 32 KiB of a target; a host is needed, once."""
    assert len(request_head(head(*[f"X-{n}: 1" for n in range(199)])).headers) == 200
    for bad in (
        head(*[f"X-{n}: 1" for n in range(200)]),
        head("X: " + "a" * 65536),
        head(line=f"GET /{'a' * 33000} HTTP/1.1"),
        b"GET / HTTP/1.1\r\n\r\n",
    ):
        with pytest.raises(BadHead):
            request_head(bad)


@pytest.mark.parametrize(
    "bad",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n",
        b"HTTP/1.1 200 OK\nX: a\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02F\r\n\r\n",
        b"220 ftp\r\n\r\n",
    ],
)
def test_a_response_of_two_readings_is_none(bad: bytes) -> None:
    """Nor is another protocol's greeting."""
    with pytest.raises(BadHead):
        response_head(bad)


def fed(body: Body, wire: bytes, cuts: list[int]) -> bytes:
    content, last = b"", 0
    for cut in [*sorted({min(cut, len(wire)) for cut in cuts}), len(wire)]:
        if cut > last:
            content += body.feed(wire[last:cut])
            last = cut
        if body.over:
            break
    body.rest += wire[last:]
    return content


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
    st.binary(max_size=9),
)
def test_chunks_are_put_together_wherever_they_are_cut(
    pieces: list[bytes], cuts: list[int], rest: bytes
) -> None:
    """And what comes after the last one is the next message's."""
    trailers = [(b"X-T", b"1")]
    wire = b"".join(map(chunk, pieces)) + last_chunk(trailers) + rest
    body = Chunked()
    assert fed(body, wire, cuts) == b"".join(pieces)
    assert (body.over, body.rest, body.trailers) == (True, rest, trailers)


@pytest.mark.parametrize(
    "wire",
    [
        b"x\r\n", b"\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\na\r\n", b"1 \r\na", b"1\na\n\r\n", b"1\r\nab\r\n",
        b"1\r\na\n0\r\n",
        b"1\r\na\r0\r\n", b"FFFFFFFFFFFFFFFFF\r\n", b"1;\x00\r\na", b"1" + b"a" * 5000, b"1;" + b"x" * 5000,
        b"0\r\nno colon\r\n\r\n", b"0\r\n X: folded\r\n\r\n", b"0\r\nX : 1\r\n\r\n", b"0\r\n" + b"X: 1\r\n" * 9000,
    ],
)  # fmt: skip
def test_malformed_chunks_are_refused(wire: bytes) -> None:
    """No size, a size of two readings, more than was said, endless lines."""
    with pytest.raises(BadBody):
        Chunked().feed(wire)


@pytest.mark.parametrize("body", [OfLength(5), Chunked()])
def test_a_body_that_ends_early_is_no_body(body: Body) -> None:
    """A lying length, a connection that broke."""
    body.feed(b"3\r\n")
    with pytest.raises(EOFError):
        body.feed(b"")


def test_a_body_without_length_ends_with_the_connection() -> None:
    """RFC 9112 6.3, the last of the list."""
    body = UntilClose()
    assert (body.feed(b"abc"), body.over) == (b"abc", False)
    assert (body.feed(b""), body.over) == (b"", True)
