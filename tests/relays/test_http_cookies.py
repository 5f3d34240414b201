"""Cookies of a service that is logged in to: its sessions stay in the relay, for one handle; others pass both ways."""

from __future__ import annotations

import json
import secrets

import pytest

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http.authorization import Header
from connvault_jupyter.relays.http.cookies import Jar
from connvault_jupyter.relays.http.origin import origin_of
from tests.support.relays.http_handles import TOKEN
from tests.support.relays.http_handles import client as client
from tests.support.relays.http_handles import relays as relays
from tests.support.relays.http_handles import running as running
from tests.support.relays.http_handles import server as server
from tests.support.relays.http_relay import HttpRelays, RawClient
from tests.support.relays.relay_handles import new_ref
from tests.support.servers.web_server import Seen, WebServer, Wire, answering

SESSION = "node0-geheime-Sitzung-8fQ2vL0xZ7"


def _jenkins(wire: Wire, seen: Seen) -> None:
    """A crumb is good for the session that it was given to."""
    wire.body(seen.head)
    cookies = dict(pair.split("=", 1) for pair in (seen.header("cookie") or "").split("; ") if pair)
    if seen.target == "/v1/crumb":
        wire.answer(
            json.dumps({"crumb": f"crumb-{len(SESSION)}"}).encode(),
            f"Set-Cookie: JSESSIONID.1a2b={SESSION}; Path=/; HttpOnly",
        )
    elif (
        cookies.get("JSESSIONID.1a2b") == SESSION and seen.header("jenkins-crumb") == f"crumb-{len(SESSION)}"
    ):
        wire.answer(b"built", status="201 Created")
    else:
        wire.answer(b"No valid crumb was included in the request", status="403 Forbidden")


def test_a_crumb_is_good_within_its_handle(relays: HttpRelays, server: WebServer) -> None:
    """Also for its other clients, and for no other handle."""
    server.rules |= {"/v1/crumb": _jenkins, "/v1/build": _jenkins}
    ref = new_ref()
    with RawClient(relays.endpoint(ref)) as client:
        answer = client.get("/v1/crumb").answer()
        crumb = f"Jenkins-Crumb: {json.loads(answer.body)['crumb']}"
        assert answer.header("set-cookie") == ""
        assert SESSION.encode() not in answer.body
        assert client.get("/v1/build", crumb, method="POST").answer().status == 201
    with RawClient(relays.endpoint(ref)) as another:
        assert another.get("/v1/build", crumb, method="POST").answer().status == 201
    with RawClient(relays.endpoint()) as stranger:
        assert stranger.get("/v1/build", crumb, method="POST").answer().status == 403


def test_a_csrf_pair_works(client: RawClient, server: WebServer) -> None:
    """The session stays here, its other half is the client's to read and to send back."""
    token = secrets.token_hex()

    def django(wire: Wire, seen: Seen) -> None:
        wire.body(seen.head)
        if seen.head.method == "GET":
            wire.answer(
                b"form",
                f"Set-Cookie: csrftoken={token}; Path=/",
                f"Set-Cookie: sessionid={SESSION}; httponly; Path=/v1",
            )
        else:
            held = {*(seen.header("cookie") or "").split("; ")} == {
                f"csrftoken={token}",
                f"sessionid={SESSION}",
            }
            wire.answer(status="200 OK" if held and seen.header("x-csrftoken") == token else "403 Forbidden")

    server.rules["/v1/form"] = django
    answer = client.get("/v1/form").answer()
    assert answer.header("set-cookie") == f"csrftoken={token}; Path=/"
    sent = [f"Cookie: csrftoken={token}", f"X-CSRFToken: {token}"]
    assert client.get("/v1/form", *sent, method="POST").answer().status == 200


def test_a_cookie_that_the_kind_names_stays_here_in_both_directions(
    relays: HttpRelays, server: WebServer
) -> None:
    """Whatever the service marks it with; code can't begin a session and have it taken over by the login."""
    relays.point(server.origin, auth="bearer", secrets=TOKEN, credential_cookies="*session* sid")
    server.rules["/in"] = answering(
        b"", "Set-Cookie: Shop_Session=s1", "Set-Cookie: lang=de", "Set-Cookie: SID=s2"
    )
    with RawClient(relays.endpoint()) as client:
        assert client.get("/in").answer().header("set-cookie") == "lang=de"
        answer = client.get("/x", "Cookie: shop_session=mine; lang=de; sid=mine").answer()
    assert answer.header("x-connvault-left-out") == "cookie"
    assert server.requests[1].header("cookie") == "lang=de; Shop_Session=s1; SID=s2"


def test_a_login_that_is_a_cookie_goes_beside_the_others(relays: HttpRelays, server: WebServer) -> None:
    """The client's, but for one of its name, and the sessions of the handle."""
    relays.point(server.origin, auth="header", header="Cookie", secrets={"token": f"sso={SESSION}; tenant=a"})
    server.rules["/in"] = answering(b"", "Set-Cookie: node=n1; HttpOnly")
    with RawClient(relays.endpoint()) as client:
        client.get("/in", "Cookie: sso=mine; lang=de").answer()
        client.get("/x", "Cookie: lang=de").answer()
    cookies = [seen.header("cookie") for seen in server.requests]
    assert cookies == [f"lang=de; sso={SESSION}; tenant=a", f"lang=de; node=n1; sso={SESSION}; tenant=a"]


def test_an_echo_of_a_session_is_masked(client: RawClient, server: WebServer) -> None:
    """It was sent with the request, as the credential was."""
    server.rules["/v1/in"] = answering(b"", f"Set-Cookie: sid={SESSION}; HttpOnly")
    client.get("/v1/in").answer()
    answer = client.get("/v1/echo").answer()
    assert SESSION in (server.requests[-1].header("cookie") or "")
    assert SESSION.encode() not in answer.body
    assert answer.header("x-connvault-masked") == "1"


@pytest.mark.parametrize("by", ["another secret", "another field"])
def test_a_session_ends_with_its_login(relays: HttpRelays, server: WebServer, by: str) -> None:
    """It was the old one's."""
    server.rules["/v1/in"] = answering(b"", f"Set-Cookie: sid={SESSION}; HttpOnly")
    ref = new_ref()
    with RawClient(relays.endpoint(ref)) as client:
        client.get("/v1/in").answer()
    if by == "another secret":
        relays.vault.rotation = new_ref()
    else:
        relays.vault.revision += 1
    with RawClient(relays.endpoint(ref)) as client:
        client.get("/v1/x").answer()
    assert server.requests[-1].header("cookie") is None


def test_a_service_that_ends_a_session_ends_it(client: RawClient, server: WebServer) -> None:
    """Marked as at its beginning, or not."""
    server.rules |= {
        "/v1/in": answering(b"", f"Set-Cookie: sid={SESSION}; HttpOnly; Path=/"),
        "/v1/out": answering(b"", "Set-Cookie: sid=; Path=/; Max-Age=0"),
    }
    client.get("/v1/in").answer()
    client.get("/v1/x").answer()
    assert client.get("/v1/out").answer().header("set-cookie") == ""
    client.get("/v1/x").answer()
    cookies = [seen.header("cookie") for seen in server.requests]
    assert cookies == [None, f"sid={SESSION}", f"sid={SESSION}", None]


def test_a_client_at_the_relays_own_address_can_keep_what_passes(
    client: RawClient, server: WebServer
) -> None:
    """It has neither the service's name nor its TLS; one that asks by the service's name gets it as it is."""
    said = "csrftoken=a; Domain=127.0.0.1; Secure; Path=/v1; SameSite=Lax"
    server.rules["/v1/x"] = answering(b"", f"Set-Cookie: {said}")
    assert client.get("/v1/x").answer().header("set-cookie") == "csrftoken=a; Path=/v1; SameSite=Lax"
    host = server.origin.removeprefix("http://")
    client.send(f"GET /v1/x HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    assert client.answer().header("set-cookie") == said


PIN = origin_of({"base_url": "https://shop.example.com/v1"})


@pytest.mark.parametrize(
    ("attributes", "target", "sent"),
    [
        ("", "/v1/x", True),
        ("; Path=/v1/a", "/v1/a/b", True),
        ("; Path=/v1/a", "/v1/ab", False),
        ("; Secure", "/v1/x", True),
        ("; Domain=example.com", "/v1/x", True),
        ("; Domain=.shop.example.com", "/v1/x", True),
        ("; Domain=evil.test", "/v1/x", False),
        ("; Max-Age=0", "/v1/x", False),
        ("; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/v1/x", False),
        ("; Max-Age=60", "/v1/x", True),
    ],
)
def test_a_jar_keeps_what_belongs_to_the_pinned_host(attributes: str, target: str, sent: bool) -> None:
    """By path, domain, time and encryption (RFC 6265)."""
    jar = Jar(PIN, ())
    assert jar.taken([("Set-Cookie", f"sid=s; HttpOnly{attributes}"), ("X-A", "1")], "/v1/in") == [
        ("X-A", "1")
    ]
    assert jar.for_target(target) == ({"sid": "s"} if sent else {})


def test_over_plain_http_a_secure_cookie_stays_here() -> None:
    """The way to the service is the one that counts."""
    jar = Jar(origin_of({"base_url": "http://shop.example.com"}), ())
    jar.taken([("Set-Cookie", "sid=s; HttpOnly; Secure")], "/in")
    assert jar.for_target("/x") == {}


def test_a_service_does_not_fill_a_jar() -> None:
    """The newest stay."""
    jar = Jar(PIN, ())
    for number in range(500):
        jar.taken([("Set-Cookie", f"c{number}=s; HttpOnly")], "/v1/in")
    jar.taken([("Set-Cookie", f"large={'s' * 100_000}; HttpOnly")], "/v1/in")
    assert list(jar.for_target("/v1/x")) == [f"c{number}" for number in range(436, 500)]


def test_of_cookies_that_are_a_login_each_is_masked() -> None:
    """A debug page tells them one by one."""
    login = Login({}, {"token": f"sid={SESSION}; other=another"}, 1, "r")
    assert {SESSION, "another"} <= Header("Cookie").credentials(login)
