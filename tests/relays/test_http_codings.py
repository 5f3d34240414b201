"""Content codings of answers: those that nobody asked for are taken off too, in bounded pieces."""

from __future__ import annotations

import gzip
import sys
import zlib
from collections.abc import Callable, Iterable

import brotli  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.relays.http.encodings import BadCoding, Decoding, codings_of
from tests.support.canary import CANARY
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import HttpRelays, RawClient
from tests.support.servers.web_server import WebServer, answering

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

CODED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstd.compress,
}
TEXT = b"The quick brown fox. " * 40_000


def decoded(codings: Iterable[str], blocks: Iterable[bytes]) -> list[bytes]:
    """The pieces. Raises: BadCoding."""
    decoding = Decoding(codings)
    pieces = [piece for block in blocks for piece in decoding.feed(block)]
    decoding.finish()
    return pieces


@pytest.mark.parametrize("coding", CODED)
def test_a_coding_that_nobody_asked_for_is_taken_off(
    client: RawClient, server: WebServer, coding: str
) -> None:
    """The client gets it plain, and an echo masked."""
    content = b"you sent " + CANARY.encode()
    server.rules["/v1/x"] = answering(CODED[coding](content), f"Content-Encoding: {coding}")
    answer = client.get("/v1/x", "Accept-Encoding: identity").answer()
    assert answer.body == b"you sent " + b"*" * len(CANARY)
    assert answer.header("content-encoding") == ""
    assert server.requests[0].header("accept-encoding") == "identity"


def test_content_without_a_secret_stays_as_it_is(relays: HttpRelays, server: WebServer) -> None:
    """As it would be without connvault."""
    relays.point(server.origin)
    server.rules["/x"] = answering(brotli.compress(b"hello"), "Content-Encoding: br")
    with RawClient(relays.endpoint()) as client:
        answer = client.get("/x").answer()
    assert (answer.header("content-encoding"), brotli.decompress(answer.body)) == ("br", b"hello")


@pytest.mark.parametrize("coding", CODED)
def test_content_is_the_same_however_it_comes(coding: str) -> None:
    """Whole, and byte by byte."""
    coded = CODED[coding](TEXT)
    assert b"".join(decoded([coding], [coded])) == TEXT
    assert b"".join(decoded([coding], [bytes([byte]) for byte in coded])) == TEXT


@pytest.mark.parametrize("coding", CODED)
def test_what_is_not_coded_so_or_ends_early_is_no_content(coding: str) -> None:
    """Nor what has more behind its end."""
    coded = CODED[coding](TEXT)
    for blocks in (
        [b"no such thing at all"],
        [coded[:-1]],
        [coded[:20]],
        [coded, b"more"],
        [coded + b"more"],
    ):
        with pytest.raises(BadCoding):
            decoded([coding], blocks)
    assert decoded([coding], []) == []


@pytest.mark.parametrize("coding", CODED)
def test_a_bomb_comes_in_pieces(coding: str) -> None:
    """However much comes out of a few bytes."""
    pieces = decoded([coding], [CODED[coding](bytes(32 << 20))])
    assert sum(map(len, pieces)) == 32 << 20
    assert max(map(len, pieces)) <= 1 << 20


def test_frames_of_zstandard_follow_one_another() -> None:
    """RFC 8878 3.1."""
    coded = zstd.compress(b"a" * 1000) + zstd.compress(b"b" * 1000)
    for blocks in ([coded], [bytes([byte]) for byte in coded]):
        assert b"".join(decoded(["zstd"], blocks)) == b"a" * 1000 + b"b" * 1000


def test_a_window_that_is_no_content_codings_is_refused() -> None:
    """RFC 9659: it would be memory."""
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: 27,
        zstd.CompressionParameter.content_size_flag: 0,
    }
    compressor = zstd.ZstdCompressor(options=options)
    coded = compressor.compress(TEXT) + compressor.flush()
    with pytest.raises(BadCoding):
        decoded(["zstd"], [coded])


def test_one_coding_in_another_is_taken_off() -> None:
    """In the order in which they are named they were put on (RFC 9110 8.4)."""
    coded = gzip.compress(brotli.compress(TEXT))
    assert b"".join(decoded(["br", "gzip"], [coded])) == TEXT


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], ()),
        (["identity", "aws-chunked"], ()),
        (["br"], ("br",)),
        (["br", "gzip"], ("br", "gzip")),
        (["compress"], None),
        (["gzip"] * 4, None),
    ],
)
def test_what_nobody_can_take_off_is_known(values: list[str], codings: tuple[str, ...] | None) -> None:
    """And more than a few are an attack."""
    assert codings_of(values) == codings
