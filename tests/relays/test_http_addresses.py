"""Addresses in an answer's headers: what lies inside the pin leads back to where the client has asked."""

from __future__ import annotations

import pytest

from connvault_jupyter.relays.http.addresses import as_asked
from connvault_jupyter.relays.http.heads import request_head
from connvault_jupyter.relays.http.origin import origin_of
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import HttpRelays, RawClient
from tests.support.relays.http_requests import as_passed
from tests.support.servers.web_server import WebServer, answering

PIN = origin_of({"base_url": "https://api.example.com/v1"})
RELAY = "127.0.0.1:4711"


def shown(name: str, value: str, *, asked_at: str = RELAY) -> str:
    """The value as the client gets it."""
    ((found, shown),) = as_asked([(name, value)], PIN, asked_at=asked_at)
    assert found == name
    return shown


INSIDE = [
    ("https://api.example.com/v1/items/", f"http://{RELAY}/v1/items/"),
    ("HTTPS://API.example.com:443/v1?page=2#top", f"http://{RELAY}/v1?page=2#top"),
    ("https://api.example.com/v1/a%20b/%C3%A9", f"http://{RELAY}/v1/a%20b/%C3%A9"),
    ("https://api.example.com/v1/\xc3\xa9", f"http://{RELAY}/v1/\xc3\xa9"),
    ("//api.example.com/v1/x", f"//{RELAY}/v1/x"),
]
OUTSIDE = [
    "https://api.example.com/v2/x", "https://api.example.com/v1/../admin", "https://api.example.com/v10",
    "https://api.example.com", "https://api.example.com:8443/v1/x", "http://api.example.com/v1/x",
    "https://evil.test/v1/x", "https://api.example.com.evil.test/v1/x", "https://api.example.com@evil.test/v1/x",
    "https://user@api.example.com/v1/x", "https://api.example.com\\@evil.test/v1/x", "//evil.test/v1/x",
    "https://api.example.com/v1/%2e%2e/admin", "ftp://api.example.com/v1/x", "https://api.example.com/v1/x y",
    "see https://api.example.com/v1/x",
]  # fmt: skip
RELATIVE = ["/v1/items/", "items/", "../x", "?page=2", "#top", ""]


@pytest.mark.parametrize(
    "name",
    ["Location", "content-location", "Operation-Location", "Azure-AsyncOperation", "X-Next-Page-URL", "Upload-Uri",
     "X-Next", "X-Poll-Status"],
)  # fmt: skip
@pytest.mark.parametrize(("value", "expected"), INSIDE)
def test_what_lies_inside_leads_back(name: str, value: str, expected: str) -> None:
    """To the address that the client has asked at, in whatever header it is told where to go on."""
    assert shown(name, value) == expected


@pytest.mark.parametrize("value", [*OUTSIDE, *RELATIVE])
def test_what_lies_outside_or_is_relative_stays(value: str) -> None:
    """Nobody is led to the relay with what it would refuse."""
    for name, text in (("Location", value), ("Link", f"<{value}>; rel=next"), ("Refresh", f"5; url={value}")):
        assert shown(name, text) == text


def test_each_link_is_looked_at_for_itself() -> None:
    """RFC 8288: several in one header, with parameters."""
    assert shown(
        "Link",
        '<https://api.example.com/v1/x?page=2,3>; rel="next"; title="a, b", </v1/x?page=1>;rel=prev, '
        "<https://evil.test/v1/x>; rel=last, <https://api.example.com/v1/x?page=9>; rel=last",
    ) == (
        f'<http://{RELAY}/v1/x?page=2,3>; rel="next"; title="a, b", </v1/x?page=1>;rel=prev, '
        f"<https://evil.test/v1/x>; rel=last, <http://{RELAY}/v1/x?page=9>; rel=last"
    )


@pytest.mark.parametrize("quote", ["", '"', "'"])
def test_a_refresh_leads_back(quote: str) -> None:
    """As browsers read it."""
    there, here = "https://api.example.com/v1/x", f"http://{RELAY}/v1/x"
    assert shown("Refresh", f"5; URL={quote}{there}{quote}") == f"5; URL={quote}{here}{quote}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-source-url", "https://api.example.com/v1/x"),
        ("Access-Control-Allow-Origin", "https://api.example.com/v1"),
        ("Content-Security-Policy", "https://api.example.com/v1/x"),
        ("X-Note", "https://api.example.com/v1/x"),
    ],
)
def test_what_is_no_way_to_go_on_stays(name: str, value: str) -> None:
    """A person's own data, and what is about origins."""
    assert shown(name, value) == value


@pytest.mark.parametrize(
    "asked_at", ["api.example.com", "API.example.com:443", "", "a b", "x/y", "evil.test/@"]
)
def test_a_client_that_asks_by_the_services_name_is_told_the_services(asked_at: str) -> None:
    """So `session()` and the like go on at the address that they know."""
    value = "https://api.example.com/v1/x"
    assert shown("Location", value, asked_at=asked_at) == value


@pytest.mark.parametrize("name", ["Referer", "Origin"])
@pytest.mark.parametrize(
    ("value", "arrives"),
    [
        (f"http://{RELAY}/v1/form?a=1", "https://api.example.com/v1/form?a=1"),
        (f"HTTP://{RELAY}", "https://api.example.com"),
        ("https://api.example.com/v1/form", "https://api.example.com/v1/form"),
        ("https://evil.test/v1/form", "https://evil.test/v1/form"),
        (f"http://{RELAY}.evil.test/", f"http://{RELAY}.evil.test/"),
        ("null", "null"),
    ],
)
def test_a_page_of_the_relays_is_one_of_the_services(name: str, value: str, arrives: str) -> None:
    """A service that looks out for forged requests compares it with its own address (Django, over https)."""
    lines = ["POST /v1/form HTTP/1.1", f"Host: {RELAY}", f"{name}: {value}", "", ""]
    assert as_passed(request_head("\r\n".join(lines).encode()), PIN).header(name) == arrives


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_slash_redirect_is_followed_at_the_handles_port(
    relays: HttpRelays, server: WebServer, name: str
) -> None:
    """As FastAPI does it: an absolute address made of the `Host` that it sees."""
    endpoint = relays.endpoint(tcp=True)
    server.rules["/v1/items"] = lambda wire, seen: wire.answer(
        b"", f"Location: http://{seen.header('host')}/v1/items/", status="307 Temporary Redirect"
    )
    with RawClient(endpoint, tcp=True) as client:
        token = f"Authorization: Bearer {endpoint.token}"
        client.send(f"GET /v1/items HTTP/1.1\r\nHost: {name}:{endpoint.port}\r\n{token}\r\n\r\n".encode())
        assert client.answer().header("location") == f"http://{name}:{endpoint.port}/v1/items/"


def test_pages_are_followed_by_their_links(relays: HttpRelays, server: WebServer) -> None:
    """Also for the answers that are looked through and masked."""
    link = f'<{server.origin}/v1/pages?page=2>; rel="next"'
    server.rules["/v1/pages"] = answering(b"[]", f"Link: {link}")
    with RawClient(relays.endpoint()) as client:
        assert client.get("/v1/pages").answer().header("link") == '<http://any/v1/pages?page=2>; rel="next"'
