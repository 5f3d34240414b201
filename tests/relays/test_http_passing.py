"""What code itself says passes with the connection's login beside it; what does not pass is told on the answer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.canary import CANARY
from tests.support.relays.http_handles import TOKEN
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import HttpRelays, RawClient
from tests.support.servers.web_server import WebServer, answering

JWT = "Authorization: Bearer eyJhbGciOiJub25lIn0.e30."
GATEWAY = {"auth": "header", "header": "Ocp-Apim-Subscription-Key"}


def test_a_gateways_key_goes_with_the_users_own_token(relays: HttpRelays, server: WebServer) -> None:
    """The key is the connection's, the token the code's: two logins of one request."""
    relays.point(server.origin, secrets=TOKEN, **GATEWAY)
    with RawClient(relays.endpoint()) as client:
        answer = client.get("/x", JWT, "X-Api-Key: mine", "X-Auth-Token: mine").answer()
    (seen,) = server.requests
    assert seen.header("ocp-apim-subscription-key") == CANARY
    assert f"Authorization: {seen.header('authorization')}" == JWT
    assert (seen.header("x-api-key"), seen.header("x-auth-token")) == ("mine", "mine")
    assert not [name for name, _ in answer.head.headers if name.lower().startswith("x-connvault-repl")]


def test_without_a_login_the_codes_own_arrives(relays: HttpRelays, server: WebServer) -> None:
    """At the port too, where one of the headers opens it."""
    relays.point(server.origin)
    endpoint = relays.endpoint(tcp=True)
    with RawClient(endpoint, tcp=True) as client:
        assert client.get("/x", JWT, f"X-Api-Key: {endpoint.token}").answer().status == 200
    (seen,) = server.requests
    assert f"Authorization: {seen.header('authorization')}" == JWT
    assert seen.header("x-api-key") is None


@pytest.mark.parametrize(
    ("fields", "secrets", "target", "header", "told"),
    [
        ({"auth": "bearer"}, TOKEN, "/x", JWT, "authorization"),
        ({"auth": "basic", "username": "u"}, {"password": CANARY}, "/x", JWT, "authorization"),
        (GATEWAY, TOKEN, "/x", "Ocp_Apim_Subscription_Key: mine", "ocp-apim-subscription-key"),
        ({"auth": "query", "query": "api_key"}, TOKEN, "/x?api%5fkey=mine", "X-Mine: 1", "?api_key"),
    ],
)
def test_what_the_login_replaces_is_told(
    relays: HttpRelays,
    server: WebServer,
    fields: dict[str, Any],
    secrets: dict[str, str],
    target: str,
    header: str,
    told: str,
) -> None:
    """On the answer, by its name."""
    relays.point(server.origin, secrets=secrets, **fields)
    with RawClient(relays.endpoint()) as client:
        answer = client.get(target, header).answer()
        assert answer.header("x-connvault-replaced") == told
        assert client.get("/x").answer().header("x-connvault-replaced") == ""
    assert "mine" not in server.requests[0].raw.decode()
    assert JWT not in server.requests[0].raw.decode()


def test_what_is_left_out_is_told(client: RawClient, server: WebServer) -> None:
    """On the answer, by its name; the service can't say so in our place."""
    server.rules["/v1/x"] = answering(b"", "X-Connvault-Left-Out: authorization", "X-Connvault-News: 1")
    answer = client.get("/v1/x", "X-Forwarded-Host: evil.test", "X-Original-URL: /admin").answer()
    assert answer.header("x-connvault-left-out") == "x-forwarded-host, x-original-url"
    assert answer.header("x-connvault-news") == ""
    assert client.get("/v1/x", "X-Mine: 1").answer().header("x-connvault-left-out") == ""


@pytest.mark.parametrize(
    ("expect", "arrives"),
    [("", None), (" ", None), (",", None), ("something", "something"), ("a=1, b", "a=1, b")],
)
def test_an_expectation_that_is_none_of_ours_is_the_services_business(
    client: RawClient, server: WebServer, expect: str, arrives: str | None
) -> None:
    """RFC 9110 10.1.1: who does not know it may go on. An empty one is none."""
    for _ in range(2):
        assert client.get("/v1/x", f"Expect: {expect}", method="PUT", body=b"abc").answer().status == 200
    assert [(seen.header("expect"), seen.body) for seen in server.requests] == [(arrives, b"abc")] * 2


def test_a_client_that_waits_for_a_word_gets_it_beside_another_expectation(
    client: RawClient, server: WebServer
) -> None:
    """The service's own `100 Continue`, before the body is sent."""

    def rule(wire: Any, seen: Any) -> None:
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.answer(wire.body(seen.head))

    server.rules["/v1/x"] = rule
    client.get("/v1/x", "Expect: 100-continue, more", "Content-Length: 3", method="PUT")
    assert client.head().status == 100
    assert client.send(b"abc").answer().body == b"abc"
    assert server.requests[0].header("expect") == "100-continue, more"


def test_a_client_of_http_1_0_waits_for_no_word(client: RawClient, server: WebServer) -> None:
    """It knows no interim answers."""
    client.send(b"PUT /v1/x HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc")
    assert client.answer().status == 200
    assert server.requests[0].header("expect") is None
