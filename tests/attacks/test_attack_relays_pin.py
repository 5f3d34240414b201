"""Through a brokered handle for a part of an HTTP service: reaching another part, or another host, with its login."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.canary import CANARY
from tests.support.relays.http_relay import Answer, HttpRelays, RawClient, http_relays
from tests.support.servers.web_server import Seen, WebServer, Wire, web_server


@pytest.fixture
def server() -> Iterator[WebServer]:
    """Holds files; copies and moves them, as WebDAV does, for whoever has the login."""
    with web_server() as found:
        yield found


@pytest.fixture
def relays(server: WebServer) -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found.point(f"{server.origin}/v1/team", secrets={"token": CANARY}, auth="bearer")


def asked(relays: HttpRelays, target: str, *headers: str, method: str = "GET") -> Answer:
    with RawClient(relays.endpoint()) as client:
        return client.get(target, *headers, method=method).answer()


def refused(answer: Answer) -> bool:
    return (answer.status, answer.header("x-connvault-error")) == (403, "not_allowed")


@pytest.mark.parametrize("method", ["COPY", "MOVE", "PUT"])
@pytest.mark.parametrize(
    "header",
    [
        "Destination: /v1/other/stolen",
        "Destination: {origin}/v1/other/stolen",
        "Destination: http://evil.test/v1/team/stolen",
        "Destination: /v1/team/%2e%2e/other/stolen",
        "X-Amz-Copy-Source: /v1/other/secret",
        "X-Copy-From: /v1/other/secret",
        "If: </v1/other/secret> ([\"guess\"])",
    ],
)  # fmt: skip
def test_nothing_is_copied_out_of_the_pinned_path_or_into_it(
    relays: HttpRelays, server: WebServer, method: str, header: str
) -> None:
    """The server never hears of it."""
    assert refused(asked(relays, "/v1/team/a", header.format(origin=server.origin), method=method))
    assert server.requests == []


def test_copies_below_the_pinned_path_go_on_as_they_did(relays: HttpRelays, server: WebServer) -> None:
    """The control: a client names the place that it knows, the relay's own port, and the server its own."""
    endpoint = relays.endpoint(tcp=True)
    with RawClient(endpoint, tcp=True) as client:
        for destination in (
            f"http://127.0.0.1:{endpoint.port}/v1/team/b",
            f"{server.origin}/v1/team/b",
            "/v1/team/b",
        ):
            head = f"COPY /v1/team/a HTTP/1.1\r\nHost: 127.0.0.1:{endpoint.port}\r\nX-Api-Key: {endpoint.token}\r\n"
            client.send(f"{head}Destination: {destination}\r\n\r\n".encode())
            assert client.answer().status == 200
    seen = [one.header("destination") for one in server.requests]
    assert seen == [f"{server.origin}/v1/team/b", f"{server.origin}/v1/team/b", "/v1/team/b"]


@pytest.mark.parametrize(
    "header",
    [
        "X-Original-URL: /v1/other",
        "X-Original-Anything: /v1/other",
        "X-Rewrite-URL: /v1/other",
        "X_Rewrite_Url: /v1/other",
        "X-Envoy-Original-Path: /v1/other",
        "X-Envoy-Original-Dst-Host: evil.test:443",
        "X-Override-URL: /v1/other",
        "X-Script-Name: /v1/other",
        "X-Forwarded-Prefix: /v1/other",
        "X-Accel-Redirect: /v1/other",
        "Proxy: http://evil.test",
        "X-Backend-Host: evil.test",
        "Helicone-Target-Url: https://evil.test",
    ],
)
def test_no_header_leads_a_request_elsewhere_behind_the_server(
    relays: HttpRelays, server: WebServer, header: str
) -> None:
    """Such as those that a proxy or framework takes for the address; behind the body, too."""
    assert asked(relays, "/v1/team/a", header, "X-Mine: 1").status == 200
    with RawClient(relays.endpoint()) as client:
        head = "POST /v1/team/a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        client.send(f"{head}1\r\nx\r\n0\r\n{header}\r\n\r\n".encode())
        assert client.answer().status == 200
    name = header.partition(":")[0].lower()
    assert len(server.requests) == 2
    assert server.requests[0].header("x-mine") == "1"
    assert all(name not in seen.raw.decode().lower() for seen in server.requests)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/team/%c0%ae%c0%ae/other", "/v1/team/..%c0%afother", "/v1/team/%e0%80%ae%e0%80%ae/other",
        "/v1/team/%u002e%u002e/other", "/v1/team/%ef%bc%8e%ef%bc%8e/other", "/v1/team/..%e2%88%95other",
        "/v1/team/..%3f/other", "/v1/team/a%00/b", "/v1/team/a%0d%0ab", "/v1/team/a%2500b", "/v1/team/a%7fb",
    ],
)  # fmt: skip
def test_no_path_in_disguise_arrives(relays: HttpRelays, server: WebServer, path: str) -> None:
    """Overlong, wide and full-width dots, what ends a path, and what ends a string."""
    assert refused(asked(relays, path))
    assert server.requests == []


def test_control_characters_are_refused_without_a_path_too(relays: HttpRelays, server: WebServer) -> None:
    """An object's name may have spaces and any script, no NUL."""
    relays.point(server.origin, secrets={"token": CANARY}, auth="bearer")
    assert refused(asked(relays, "/bucket/a%00.txt"))
    assert asked(relays, "/bucket/a%20caf%C3%A9%2Fb.txt?q=a%0Ab").status == 200
    assert [seen.target for seen in server.requests] == ["/bucket/a%20caf%C3%A9%2Fb.txt?q=a%0Ab"]


def test_a_request_that_is_another_to_its_server_is_not_sent_twice(
    relays: HttpRelays, server: WebServer
) -> None:
    """A kept connection closes as a GET arrives that the server takes for a DELETE: it may have been done."""

    def hang_up(wire: Wire, seen: Seen) -> None:
        raise EOFError

    server.rules["/v1/team/once"] = hang_up
    with RawClient(relays.endpoint()) as client:
        client.get("/v1/team/a").answer()
        answer = client.get("/v1/team/once", "X-HTTP-Method-Override: DELETE").answer()
    assert answer.header("x-connvault-error") == "upstream_unreachable"
    assert [seen.target for seen in server.requests] == ["/v1/team/a", "/v1/team/once"]
