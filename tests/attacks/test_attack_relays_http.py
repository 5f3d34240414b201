"""Through a brokered handle for an HTTP API whose server echoes what it is sent: getting the token back unmasked."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.canary import CANARY, found_in
from tests.support.relays.http_relay import Answer, HttpRelays, RawClient, http_relays

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class Echo(BaseHTTPRequestHandler):
    """Answers with its request's headers; in parts, as a server's filter for ranges makes them, if it is asked."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps(dict(self.headers)).encode()
        coding = ""
        if "gzip" in self.headers.get("Accept-Encoding", "") or "coded" in self.path:
            body, coding = gzip.compress(body, mtime=0), "gzip"
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        whole = len(body)
        if wanted:
            body = body[int(wanted[1]) : int(wanted[2]) + 1]
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {wanted[1]}-{wanted[2]}/{whole}")
        else:
            self.send_response(200)
        if coding:
            self.send_header("Content-Encoding", coding)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Echo", self.headers.get("Authorization", ""))
        if "trailer" in self.path:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for byte in body:
                self.wfile.write(b"1\r\n%c\r\n" % byte)
            self.wfile.write(b"0\r\nX-Echo: %b\r\n\r\n" % self.headers["Authorization"].encode())
            return
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def relays(origin: str) -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found.point(origin, secrets={"token": CANARY}, auth="bearer")


def asked(relays: HttpRelays, target: str, *headers: str) -> Answer:
    with RawClient(relays.endpoint()) as client:
        return client.get(target, *headers).answer()


@pytest.mark.parametrize("target", ["/", "/trailer"])
@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Accept-Encoding: gzip",),
        ("Accept-Encoding: br, zstd",),
        ("TE: trailers",),
        ("Connection: authorization",),
        ("Connection: close, x-echo",),
    ],
    ids=["plain", "gzip", "other codings", "trailers", "hop-by-hop", "hop-by-hop of the answer"],
)
def test_an_echo_comes_masked_however_it_is_asked_for(
    relays: HttpRelays, target: str, headers: tuple[str, ...]
) -> None:
    """In the body, in its head and behind its end."""
    with RawClient(relays.endpoint()) as client:
        answer = client.get(target, *headers).answer()
    assert found_in(answer.body.decode()) == []
    assert found_in(str(answer.head.headers)) == []
    assert b"***" in answer.body or "***" in answer.header("X-Echo")


def test_a_part_of_a_compressed_echo_is_refused(relays: HttpRelays) -> None:
    """It can't be looked through. With a range no coding is agreed on, so only a server's own idea gets here."""
    answer = asked(relays, "/coded", "Range: bytes=0-20", "Accept-Encoding: gzip")
    assert answer.status == 424


def test_an_echo_can_be_put_together_from_parts(relays: HttpRelays) -> None:
    """Not stopped: where a server gives parts of an echo, a part of the token is no token to the relay."""
    whole = asked(relays, "/").body
    found = b""
    for start in range(0, len(whole) + 200, 3):
        answer = asked(relays, "/", f"Range: bytes={start:04}-{start + 2:04}")
        if not answer.body:
            break
        found += answer.body
    assert json.dumps(CANARY)[1:-1].encode() in found


def test_two_requests_in_one_write_are_answered_in_turn_and_apart(relays: HttpRelays) -> None:
    """A request in the body of another one stays its body, and each has the credential of its own."""
    inner = b"GET /inner HTTP/1.1\r\nHost: any\r\n\r\n"
    first = b"GET /first HTTP/1.1\r\nHost: any\r\nX-First: 1\r\nContent-Length: %d\r\n\r\n%b" % (
        len(inner),
        inner,
    )
    second = b"GET /second HTTP/1.1\r\nHost: any\r\nX-Second: 1\r\nConnection: close\r\n\r\n"
    with RawClient(relays.endpoint()) as client:
        client.send(first + second)
        answers = [client.answer(), client.answer()]
        assert client.rest() == b""
    assert ["X-First" in json.loads(one.body) for one in answers] == [True, False]
    assert ["X-Second" in json.loads(one.body) for one in answers] == [False, True]
    assert found_in(str(answers)) == []
