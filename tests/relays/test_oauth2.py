"""OAuth2 client credentials against a real, strict token endpoint: kept, refreshed, shared by threads, refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    SecretMissing,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http.authorization import authorization_of
from connvault_jupyter.relays.http.oauth2 import ClientCredentials
from connvault_jupyter.relays.http.request import Request
from connvault_jupyter.relays.limits import LIMITS
from tests.support.broker.processes import ends
from tests.support.servers.scripted_upstream import dripping, upstream
from tests.support.servers.tls import loopback_certificate
from tests.support.servers.token_server import CLIENT_SECRET, TokenServer, token_server

REQUEST = Request("GET", "/users", [("Host", "api.example.org"), ("Accept", "*/*")])


class Clock:
    """Seconds, moved by the test."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as found:
        yield found


@pytest.fixture
def clock() -> Clock:
    return Clock()


def login(secret: str = CLIENT_SECRET, rotation: str = "1") -> Login:
    return Login({}, {"client_secret": secret}, 1, rotation)


def header(made: Request) -> str:
    found = made.header("Authorization")
    assert found is not None
    return found


def refusal(fields: dict[str, Any], secret: str = CLIENT_SECRET, login_s: float = 30) -> ConnvaultError:
    with pytest.raises(ConnvaultError) as caught:
        ClientCredentials(fields, limits=replace(LIMITS, login_s=login_s)).apply(REQUEST, login(secret))
    assert secret not in str(caught.value)
    return caught.value


@pytest.mark.parametrize("method", [None, "client_secret_basic", "client_secret_post"])
def test_when_applied_the_api_takes_the_token(server: TokenServer, method: str | None) -> None:
    """Both ways of logging in reach a strict endpoint, whatever characters the secret has."""
    made = authorization_of(server.fields(client_auth=method)).apply(REQUEST, login())
    assert server.takes(header(made))
    assert server.method == (method or "client_secret_basic")
    assert made.without("Authorization") == REQUEST


def test_a_given_scope_and_audience_are_asked_for(server: TokenServer) -> None:
    """And nothing but them and the grant."""
    fields = server.fields(scope="read write", audience="https://api.example.org/")
    ClientCredentials(fields).apply(REQUEST, login())
    assert server.said == {
        "grant_type": "client_credentials",
        "scope": "read write",
        "audience": "https://api.example.org/",
    }


def test_when_applied_again_the_token_is_kept(server: TokenServer) -> None:
    """One fetch serves many requests."""
    authorization = ClientCredentials(server.fields())
    tokens = {header(authorization.apply(REQUEST, login())) for _ in range(20)}
    assert len(tokens) == server.fetches == 1


@pytest.mark.parametrize(
    ("lifetime", "kept_s"),
    [(3600, 3540), (100, 90), ("600", 540), (None, 270), ("soon", 270), (-1, 270), (10**30, 86340)],
)
def test_a_token_that_is_about_to_expire_is_fetched_anew(
    server: TokenServer, clock: Clock, lifetime: object, kept_s: int
) -> None:
    """Shortly before its time; a lifetime that is not said is a short one."""
    server.lifetime_s = lifetime
    authorization = ClientCredentials(server.fields(), clock=clock)
    authorization.apply(REQUEST, login())
    clock.now += kept_s - 1
    authorization.apply(REQUEST, login())
    assert server.fetches == 1
    clock.now += 2
    authorization.apply(REQUEST, login())
    assert server.fetches == 2


def test_when_the_api_refuses_the_token_the_next_one_is_another(server: TokenServer, clock: Clock) -> None:
    """After a 401 what was kept is dropped."""
    authorization = ClientCredentials(server.fields(), clock=clock)
    first = header(authorization.apply(REQUEST, login()))
    server.revoke_all()
    clock.now += 30
    assert authorization.refused(login())
    second = header(authorization.apply(REQUEST, login()))
    assert first != second
    assert server.takes(second)


def test_when_a_fresh_token_is_refused_none_is_fetched(server: TokenServer, clock: Clock) -> None:
    """An API that answers 401 to everything does not turn each request into a fetch."""
    authorization = ClientCredentials(server.fields(), clock=clock)
    authorization.apply(REQUEST, login())
    assert not authorization.refused(login())
    authorization.apply(REQUEST, login())
    assert server.fetches == 1


def test_when_nothing_was_applied_nothing_was_refused(server: TokenServer) -> None:
    """There is no other credential to try."""
    assert not ClientCredentials(server.fields()).refused(login())


def test_when_fifty_threads_meet_the_same_refusal_one_fetch_is_made(
    server: TokenServer, clock: Clock
) -> None:
    """Each of them was sent with the token that the first one had dropped already."""
    authorization = ClientCredentials(server.fields(), clock=clock)
    applied, refused = threading.Barrier(50), threading.Barrier(50)

    def request() -> tuple[bool, str]:
        authorization.apply(REQUEST, login())
        if applied.wait(20) == 0:
            clock.now += 30
        refused.wait(20)
        return authorization.refused(login()), header(authorization.apply(REQUEST, login()))

    with ThreadPoolExecutor(50) as pool:
        found = [task.result() for task in [pool.submit(request) for _ in range(50)]]
    assert {again for again, _ in found} == {True}
    assert len({token for _, token in found}) == 1
    assert server.fetches == 2


def test_when_fifty_threads_need_the_first_token_one_fetch_is_made(server: TokenServer) -> None:
    """Whoever comes while it is under way waits for it."""
    server.gate.clear()
    authorization = ClientCredentials(server.fields())
    with ThreadPoolExecutor(50) as pool:
        tasks = [pool.submit(authorization.apply, REQUEST, login()) for _ in range(50)]
        server.gate.set()
        tokens = {header(task.result()) for task in tasks}
    assert len(tokens) == server.fetches == server.asked == 1


def test_when_the_secret_is_wrong_all_threads_are_told_and_the_endpoint_is_asked_once(
    server: TokenServer, clock: Clock
) -> None:
    """A wrong secret is not tried fifty times: servers lock clients out for that. Later it is tried again."""
    server.gate.clear()
    authorization = ClientCredentials(server.fields(), clock=clock)
    with ThreadPoolExecutor(50) as pool:
        tasks = [pool.submit(authorization.apply, REQUEST, login("wrong")) for _ in range(50)]
        server.gate.set()
        errors = [task.exception() for task in tasks]
    assert {type(error) for error in errors} == {UpstreamAuthFailed}
    assert len({id(error) for error in errors}) == 50
    assert server.asked == 1
    clock.now += 6
    with pytest.raises(UpstreamAuthFailed):
        authorization.apply(REQUEST, login("wrong"))
    assert server.asked == 2


def test_when_the_secret_is_missing_that_is_said(server: TokenServer) -> None:
    """Nothing is asked of the endpoint."""
    with pytest.raises(SecretMissing):
        ClientCredentials(server.fields()).apply(REQUEST, Login({}, {}, 1, "1"))
    assert server.asked == 0


@pytest.mark.parametrize("secret", ["line\nbreak", "\x00\x7f", "päßwörd", "%41+%2B", "a:b"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_a_client_secret_with_special_characters_arrives_as_it_is(
    server: TokenServer, secret: str, method: str
) -> None:
    """RFC 6749 2.3.1 and appendix B: encoded as form fields, also in the header."""
    server.secret = secret
    made = ClientCredentials(server.fields(client_auth=method)).apply(REQUEST, login(secret))
    assert server.takes(header(made))


ANSWERS: list[tuple[tuple[int, dict[str, str], bytes], type[ConnvaultError]]] = [
    ((401, {}, b'{"error": "invalid_client"}'), UpstreamAuthFailed),
    ((400, {}, b'{"error": "invalid_client"}'), UpstreamAuthFailed),
    ((401, {}, b"who are you?"), UpstreamAuthFailed),
    ((400, {}, b'{"error": "invalid_scope"}'), UpstreamRefused),
    ((400, {}, b'{"error": "unauthorized_client"}'), UpstreamRefused),
    ((400, {}, b'{"error": ["invalid_client"]}'), UpstreamRefused),
    ((403, {}, b"computer says no"), UpstreamRefused),
    ((404, {}, b"not here"), UpstreamRefused),
    ((429, {}, b'{"error": "slow_down"}'), UpstreamError),
    ((503, {}, b"<html>busy"), UpstreamError),
    ((400, {}, b'{"error": "temporarily_unavailable"}'), UpstreamError),
    ((204, {}, b""), UpstreamRefused),
    ((200, {}, b"<html>log in</html>"), UpstreamRefused),
    ((200, {}, b"[1, 2]"), UpstreamRefused),
    ((200, {}, b"[" * 50_000), UpstreamRefused),
    ((200, {}, b"{ }"), UpstreamRefused),
    ((200, {}, b'{"access_token": ""}'), UpstreamRefused),
    ((200, {}, b'{"access_token": 7}'), UpstreamRefused),
    ((200, {}, b'{"access_token": "a\\r\\nHost: evil.example"}'), UpstreamRefused),
    ((200, {}, '{"access_token": "t\u00f6ken"}'.encode()), UpstreamRefused),
    ((200, {}, json.dumps({"access_token": "a" * 33_000}).encode()), UpstreamRefused),
    ((200, {}, b'{"access_token": "abcdef", "token_type": "mac"}'), UpstreamRefused),
    ((200, {}, b'{"access_token": "abcdef", "token_type": null}'), UpstreamRefused),
    ((200, {}, b" " * 200_000 + b'{"access_token": "abcdef"}'), UpstreamRefused),
    ((200, {"X-Long": "a" * 70_000}, b'{"access_token": "abcdef"}'), UpstreamRefused),
    ((200, {"Content-Length": "0"}, b'{"access_token": "abcdef"}'), UpstreamRefused),
]


@pytest.mark.parametrize(("answer", "kind"), ANSWERS, ids=[f"{n}" for n in range(len(ANSWERS))])
def test_when_the_endpoint_answers_otherwise_the_error_is_typed(
    server: TokenServer, answer: tuple[int, dict[str, str], bytes], kind: type[ConnvaultError]
) -> None:
    """In words of ours: nothing of what was answered is in it."""
    server.answer = answer
    error = refusal(server.fields())
    assert type(error) is kind
    assert "token endpoint" in error.message
    assert answer[2] == b"" or answer[2].decode()[:12] not in error.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_the_token_endpoint_is_not_followed(server: TokenServer, status: int) -> None:
    """The secret goes to the one address that the connection names."""
    with token_server() as other:
        server.answer = (status, {"Location": other.token_url}, b"")
        error = refusal(server.fields())
        assert other.asked == 0
    assert type(error) is UpstreamRefused
    assert "redirect" in error.message


def test_a_proxy_of_the_environment_does_not_count(
    server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor a .netrc, which only other libraries read."""
    with token_server() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.api_url)
        ClientCredentials(server.fields()).apply(REQUEST, login())
        assert proxy.api_requests == []
    assert server.fetches == 1


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("http://169.254.169.254/latest/api/token", UpstreamRefused),
        ("http://[fe80::1]/token", UpstreamRefused),
        ("http://0.0.0.0:80/token", UpstreamRefused),
        ("http://127.0.0.1:1/token", UpstreamUnreachable),
        ("https://user:pass@127.0.0.1/token", UpstreamRefused),
        ("ftp://127.0.0.1/token", UpstreamRefused),
        ("http://127.0.0.1:99999/token", UpstreamRefused),
        ("http://[::1/token", UpstreamRefused),
        ("https:///token", UpstreamRefused),
        ("https://127.0.0.1/token#part", UpstreamRefused),
        ("", UpstreamRefused),
    ],
)
def test_a_token_address_that_is_never_connected_to_is_refused(
    address: str, kind: type[ConnvaultError]
) -> None:
    """The rules for addresses are those of every upstream."""
    assert type(refusal({"token_url": address, "client_id": "a", "allow_http": True})) is kind


def test_plain_http_is_not_used_for_tokens_where_it_is_not_allowed(server: TokenServer) -> None:
    """Unless the connection says so, the secret is sent encrypted only."""
    assert type(refusal(server.fields(allow_http=False))) is UpstreamRefused
    assert server.asked == 0


def test_when_the_certificate_is_known_https_is_used(tmp_path: Path) -> None:
    """By the CA certificate of the connection; another one is refused before the secret is sent."""
    certificate, other = loopback_certificate(), loopback_certificate()
    pair = tmp_path / "pair.pem"
    pair.write_text(certificate.certificate + certificate.key)
    with token_server(pair) as server:
        fields = server.fields(allow_http=False)
        made = ClientCredentials({**fields, "ca_certificate": certificate.authority}).apply(REQUEST, login())
        assert server.takes(header(made))
        for authority in (other.authority, None):
            assert type(refusal({**fields, "ca_certificate": authority})) is UpstreamTlsFailed
        assert server.asked == 1


def test_when_the_endpoint_drips_bytes_the_whole_answer_has_one_deadline() -> None:
    """A byte now and then does not keep the fetch alive."""
    with ends(), upstream(dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"a")) as port:
        fields = {"token_url": f"http://127.0.0.1:{port}/", "client_id": "a", "allow_http": True}
        error = refusal(fields, login_s=0.3)
    assert type(error) is UpstreamTimeout


def test_when_credentials_are_asked_for_only_what_was_sent_to_the_service_is_there(
    server: TokenServer,
) -> None:
    """The access token; the client secret goes to the token endpoint alone."""
    authorization = ClientCredentials(server.fields())
    assert authorization.credentials(login()) == set()
    made = authorization.apply(REQUEST, login())
    assert authorization.credentials(login()) == {header(made).partition(" ")[2]}


def test_when_shown_nothing_has_a_secret_in_it(server: TokenServer) -> None:
    """Neither the object nor what it keeps."""
    authorization = ClientCredentials(server.fields())
    token = header(authorization.apply(REQUEST, login())).partition(" ")[2]
    shown = repr(vars(authorization)) + repr(authorization)
    assert token not in shown
    assert CLIENT_SECRET not in shown
