"""OAuth2 through the real HTTP relay: an API that takes the token endpoint's tokens, and what a client sees of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connvault_jupyter.services.relay_ports import RelayEndpoint
from tests.support.broker.processes import wait_until
from tests.support.relays.http_relay import Answer, HttpRelays, RawClient, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.servers.token_server import CLIENT_SECRET, TokenServer, token_server


@pytest.fixture(scope="module")
def processes() -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as found:
        yield found


@pytest.fixture
def relays(processes: HttpRelays, server: TokenServer) -> HttpRelays:
    return point(processes, server)


def point(relays: HttpRelays, server: TokenServer, secret: str = CLIENT_SECRET) -> HttpRelays:
    fields = server.fields()
    return relays.point(fields.pop("base_url"), secrets={"client_secret": secret}, **fields)


@pytest.fixture
def endpoint(relays: HttpRelays) -> Iterator[RelayEndpoint]:
    ref = new_ref()
    yield relays.endpoint(ref)
    relays.revoke(ref)


def asked(endpoint: RelayEndpoint, target: str = "/users", method: str = "GET", body: bytes = b"") -> Answer:
    with RawClient(endpoint) as client:
        return client.get(target, method=method, body=body).answer()


def test_when_asked_the_api_gets_a_token(endpoint: RelayEndpoint, server: TokenServer) -> None:
    """One fetch for all the requests of a worker."""
    assert [asked(endpoint).status for _ in range(3)] == [200, 200, 200]
    assert server.fetches == 1


def test_when_the_token_is_refused_the_request_is_sent_again_with_another(
    endpoint: RelayEndpoint, server: TokenServer
) -> None:
    """The client sees one answer; a token is fetched anew once it is more than a second old."""
    with RawClient(endpoint) as client:
        assert client.get("/users").answer().status == 200
        server.revoke_all()
        # A token that was fetched just now and is refused gives no second fetch: that would be each time.
        wait_until(lambda: client.get("/users").answer().status == 200, deadline_s=20, what="another token")
    assert server.fetches == 2
    assert [status for status, _ in server.api_requests][-2:] == [401, 200]


def test_when_an_upload_can_not_be_repeated_the_next_one_has_another_token(
    endpoint: RelayEndpoint, server: TokenServer
) -> None:
    """Its body is gone, so the client sees the 401; the token that was refused is dropped all the same."""
    assert asked(endpoint).status == 200
    server.revoke_all()
    statuses: list[int] = []

    def taken() -> bool:
        statuses.append(asked(endpoint, method="POST", body=b"a" * 200_000).status)
        return statuses[-1] == 200

    wait_until(taken, deadline_s=20, what="another token")
    assert {*statuses[:-1]} == {401}
    assert server.fetches == 2


def test_when_the_api_echoes_the_token_it_is_masked(endpoint: RelayEndpoint) -> None:
    """Length for length."""
    shown = json.loads(asked(endpoint, "/users?echo=1").body)
    scheme, _, token = shown["echo"].partition(" ")
    assert scheme == "Bearer"
    assert token == "*" * 32


def test_when_fifty_clients_come_at_once_one_token_is_fetched(
    endpoint: RelayEndpoint, server: TokenServer
) -> None:
    """They wait for one fetch."""
    barrier = threading.Barrier(50)

    def work(_number: int) -> int:
        with RawClient(endpoint) as client:
            barrier.wait(20)
            return client.get("/users").answer().status

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(work, range(50))) == {200}
    assert server.fetches == 1


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        ((401, {}, b'{"error": "invalid_client"}'), 424, "upstream_auth_failed"),
        ((400, {}, b'{"error": "invalid_scope"}'), 424, "upstream_refused"),
        ((302, {"Location": "http://127.0.0.1:1/"}, b""), 424, "upstream_refused"),
        ((503, {}, b""), 502, "upstream_error"),
    ],
)
def test_when_no_token_is_given_the_client_is_told(
    endpoint: RelayEndpoint,
    server: TokenServer,
    answer: tuple[int, dict[str, str], bytes],
    status: int,
    code: str,
) -> None:
    """As a Problem of the relay; the API is not asked."""
    server.answer = answer
    found = asked(endpoint)
    problem = json.loads(found.body)
    assert (found.status, problem["code"]) == (status, code)
    assert "token endpoint" in problem["detail"]
    assert CLIENT_SECRET.encode() not in found.body
    assert server.api_requests == []


def test_when_the_secret_is_replaced_the_next_token_is_of_the_new_one(
    relays: HttpRelays, endpoint: RelayEndpoint, server: TokenServer
) -> None:
    """What was kept belonged to the old one."""
    assert asked(endpoint).status == 200
    server.secret = "another-secret"
    relays.vault.rotation = "r2"
    point(relays, server, "another-secret")
    assert asked(endpoint).status == 200
    assert server.fetches == 2
