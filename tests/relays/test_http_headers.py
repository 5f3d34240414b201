"""Which headers pass between a client and a service, by name. No relay, no service."""

from __future__ import annotations

import pytest

from connvault_jupyter.relays.http.authorization import Places
from connvault_jupyter.relays.http.client_auth import HandleToken
from connvault_jupyter.relays.http.headers import (
    accepted,
    client_headers,
    judged,
    passing_trailers,
    wanted_upgrade,
)
from connvault_jupyter.relays.http.heads import RequestHead, request_head, response_head
from connvault_jupyter.relays.http.origin import origin_of
from tests.support.relays.http_requests import as_passed

ORIGIN = origin_of({"base_url": "https://api.example.com"})

# RFC 9110 7.6.1, and what older software calls so.
HOP_BY_HOP = (
    "Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info", "Proxy-Authorization",
    "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
)  # fmt: skip


def asked(*headers: str, version: str = "1.1") -> RequestHead:
    return request_head("\r\n".join([f"GET /x HTTP/{version}", "Host: h", *headers, "", ""]).encode())


def up(*headers: str) -> dict[str, str]:
    return {name.lower(): value for name, value in as_passed(asked(*headers), ORIGIN).headers}


def down(*headers: str, decoded: bool = False) -> list[tuple[str, str]]:
    head = response_head("\r\n".join(["HTTP/1.1 200 OK", *headers, "", ""]).encode())
    return client_headers(head, decoded=decoded)


@pytest.mark.parametrize(
    "name",
    [name for name in HOP_BY_HOP if name != "Transfer-Encoding"]
    + ["Cookie2", "Set-Cookie", "Set-Cookie2", "Set_Cookie", "Accept_Encoding", "Content_Length"],
)
def test_a_header_that_is_only_for_the_relay_goes_no_further_up(name: str) -> None:
    """In no spelling that a server may take for it."""
    assert "canary" not in str(up(f"{name}: canary", "X-Mine: 1"))
    assert up(f"{name}: canary", "X-Mine: 1")["x-mine"] == "1"


def test_a_header_that_the_connection_names_goes_no_further_up() -> None:
    """RFC 9110 7.6.1."""
    assert "x-mine" not in up("Connection: close, X-Mine", "X-Mine: 1")


def test_an_expectation_is_rewritten_and_not_sent_twice() -> None:
    """As it was understood."""
    passed = as_passed(asked("Expect: a, b"), ORIGIN).headers
    assert [value for name, value in passed if name.lower() == "expect"] == ["a, b"]


@pytest.mark.parametrize("name", [*HOP_BY_HOP, "Alt-Svc", "Strict-Transport-Security", "X-Connvault-Error"])
def test_a_header_that_is_only_for_the_relay_goes_no_further_down(name: str) -> None:
    """Nor one that leads past the relay, or that is ours."""
    value = "chunked" if name == "Transfer-Encoding" else "canary"
    for spelled in (name, name.lower(), name.upper()):
        assert down(f"{spelled}: {value}", "X-Own: 1") == [("X-Own", "1")]


def test_a_length_is_not_passed_down() -> None:
    """It is said anew."""
    assert down("Content-Length: 3", "X-Own: 1") == [("X-Own", "1")]


def test_a_header_that_the_service_names_in_connection_is_not_passed_down() -> None:
    """RFC 9110 7.6.1; without that it is."""
    assert down("Connection: X-Own, close", "X-Own: 1") == []
    assert down("X-Own: 1", "x-own: 2") == [("X-Own", "1"), ("x-own", "2")]


def test_a_coding_is_passed_down_unless_it_was_decoded() -> None:
    """What is not decoded stays what it is called."""
    assert down("Content-Encoding: gzip") == [("Content-Encoding", "gzip")]
    assert down("Content-Encoding: gzip", "Connection: close", decoded=True) == []


@pytest.mark.parametrize(
    ("headers", "logs_in", "sent"),
    [
        ([], False, "identity"),
        (["Accept-Encoding: br, gzip;q=0.5", "Accept-Encoding: zstd"], False, "br, gzip;q=0.5, zstd"),
        ([], True, "identity"),
        (["Accept-Encoding: br"], True, "identity"),
        (["Accept-Encoding: br, gzip"], True, "gzip"),
        (["Accept-Encoding: GZIP ;q=0.5"], True, "gzip"),
        (["Accept-Encoding: gzip", "Range: bytes=0-1"], True, "identity"),
        (["Accept-Encoding: gzip", "Range: bytes=0-1"], False, "gzip"),
    ],
)
def test_a_coding_is_accepted_that_can_be_searched(headers: list[str], logs_in: bool, sent: str) -> None:
    """Without a login there is nothing to search for, and all of the client's are."""
    assert accepted(asked(*headers), logs_in=logs_in) == sent


@pytest.mark.parametrize(
    "wanted", ["websocket", "WebSocket", "SPDY/3.1", "v5.channel.k8s.io", "a" * 40, "a/" + "b" * 20]
)
def test_an_upgrade_to_a_protocol_of_one_stream_is_wanted(wanted: str) -> None:
    """Whatever it is called."""
    assert wanted_upgrade(asked("Connection: keep-alive, Upgrade", f"Upgrade: {wanted}")) == wanted


@pytest.mark.parametrize(
    "wanted",
    [
        "h2c", "H2", "HTTP/2.0", "http/1.1", "TLS/1.2", "connect-udp", "a" * 41, "a/" + "b" * 21, "a/", "a b", "a, b",
        "a/b/c", "",
    ],
)  # fmt: skip
def test_an_upgrade_to_another_http_is_not_wanted(wanted: str) -> None:
    """Nobody would check its requests; nor is what is no name."""
    assert wanted_upgrade(asked("Connection: Upgrade", f"Upgrade: {wanted}")) == ""


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        (["Upgrade: websocket"], "1.1"),
        (["Connection: close", "Upgrade: websocket"], "1.1"),
        (["Connection: Upgrade"], "1.1"),
        (["Connection: Upgrade", "Upgrade: websocket"], "1.0"),
        (["Connection: Upgrade", "Upgrade: websocket", "Upgrade: websocket"], "1.1"),
    ],
)
def test_an_upgrade_that_is_not_asked_for_properly_is_none(headers: list[str], version: str) -> None:
    """RFC 9110 7.8."""
    assert wanted_upgrade(asked(*headers, version=version)) == ""


@pytest.mark.parametrize(
    "name",
    [
        *HOP_BY_HOP, "Accept-Encoding", "Content-Length", "Expect", "Host", "Cookie2", "Set-Cookie", "Set-Cookie2",
        "Alt-Svc", "Strict-Transport-Security", "Authorization", "Cookie", "X-Connvault-Error", "X-Key", "X_Key",
        "X-Forwarded-Host", "Destination",
    ],
)  # fmt: skip
def test_a_trailer_of_framing_login_or_address_stays_here(name: str) -> None:
    """It would come too late to be checked; all others pass."""
    innocent = (b"X-Checksum", b"abc")
    places = Places(frozenset({"x-key"}))
    assert passing_trailers([(name.encode(), b"v"), innocent], places=places) == [innocent]


def test_a_trailer_with_the_handles_token_stays_here() -> None:
    """It is good on this machine only. Of an answer nobody asks."""
    token = HandleToken(lambda word: word == "TOKEN", len("TOKEN"))
    trailers = [(b"X-Mine", b"a TOKEN"), (b"X-Other", b"a TOKENS")]
    assert passing_trailers(trailers, token=token) == trailers[1:]
    assert passing_trailers(trailers) == trailers


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("X-Mine", ("x-mine", False, False)),
        ("X-Hostage", ("x-hostage", False, False)),
        ("X_Original.URL", ("x-original-url", True, False)),
        ("x-original-" + "a" * 100, ("x-original-" + "a" * 100, True, False)),
        ("X-Amz-Copy-Source", ("x-amz-copy-source", False, True)),
        ("x-" + "a" * 100 + "-copy-source", ("x-" + "a" * 100 + "-copy-source", False, True)),
    ],
)
def test_a_name_is_judged_whatever_its_length(name: str, expected: tuple[str, bool, bool]) -> None:
    """A long one as a short one that is remembered."""
    assert judged(name) == judged(name) == expected
