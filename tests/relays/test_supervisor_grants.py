"""What a worker keeps belongs to one grant: no other one's client gets it, and it ends with that one."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from connvault_jupyter.errors import HandleInvalid
from tests.support.relays.http_relay import HttpRelays, RawClient, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import wait_for_the_cut, workers
from tests.support.servers.token_server import CLIENT_SECRET, TokenServer, token_server


@pytest.fixture
def server() -> Iterator[TokenServer]:
    with token_server() as found:
        yield found


@pytest.fixture
def relays(server: TokenServer) -> Iterator[HttpRelays]:
    with http_relays() as found:
        fields = server.fields()
        found.point(fields.pop("base_url"), secrets={"client_secret": CLIENT_SECRET}, **fields)
        yield found


def asked(relays: HttpRelays, grant: str) -> int:
    """By a new handle, whose place stays open."""
    with RawClient(relays.endpoint(grant=grant)) as client:
        return client.get("/users").answer().status


def test_handles_of_one_grant_share_what_is_kept(relays: HttpRelays, server: TokenServer) -> None:
    """A standing permission whose code asks again and again stays as fast."""
    assert [asked(relays, "one") for _ in range(3)] == [200] * 3
    assert (server.fetches, len(workers())) == (1, 1)


def test_handles_of_two_grants_share_nothing(relays: HttpRelays, server: TokenServer) -> None:
    """Neither an access token nor a process, also when the notebook and the connection are the same."""
    assert [asked(relays, grant) for grant in ("one", "two", "one")] == [200] * 3
    assert (server.fetches, len(workers())) == (2, 2)


def test_when_a_grant_ends_its_worker_does_and_the_others_stay(
    relays: HttpRelays, server: TokenServer
) -> None:
    """The next handle under a new one begins anew."""
    with (
        RawClient(relays.endpoint(grant="one")) as one,
        RawClient(relays.endpoint(grant="two")) as two,
    ):
        assert [client.get("/users").answer().status for client in (one, two)] == [200, 200]
        relays.revoke("one")
        assert one.rest() == b""
        assert two.get("/users").answer().status == 200
    assert asked(relays, "three") == 200
    assert server.fetches == 3


def test_one_ref_under_two_grants_is_two_handles(relays: HttpRelays) -> None:
    """Its row was led to another grant: what was opened before keeps its own place, to end with the first one."""
    ref = new_ref()
    before, after = relays.endpoint(ref, grant="one"), relays.endpoint(ref, grant="two")
    assert before.directory != after.directory
    with RawClient(before) as client:
        relays.revoke("one")
        assert client.rest() == b""
    with RawClient(after) as client:
        assert client.get("/users").answer().status == 200


@pytest.mark.parametrize("how", ["expires", "its run ends"])
def test_when_the_database_can_not_be_read_what_ends_by_itself_is_cut(relays: HttpRelays, how: str) -> None:
    """Nobody can be asked whether it may stay, and nobody needs to be."""
    soon = datetime.now(timezone.utc) + timedelta(seconds=1)
    endpoint = relays.endpoint(expires_at=soon if how == "expires" else None)
    with RawClient(endpoint) as client:
        assert client.get("/users").answer().status == 200
        relays.vault.broken = True
        if how == "its run ends":
            relays.vault.ended.add("kernel-1")
        assert client.rest() == b""
    wait_for_the_cut(relays.supervisor)


def test_a_grant_is_judged_each_time_while_the_database_can_not_be_read(relays: HttpRelays) -> None:
    """By what is known without it: a vault that is locked meanwhile ends everything."""
    with RawClient(relays.endpoint()) as client:
        assert client.get("/users").answer().status == 200
        relays.vault.broken = True
        relays.vault.locked = True
        assert client.rest() == b""


def test_a_worker_gets_no_login_of_another_grants_handle(relays: HttpRelays) -> None:
    """It names the handle itself: a bug in one of them must not reach what another one may."""
    relays.endpoint(grant="one")
    relays.endpoint(grant="two")
    supervisor = relays.supervisor
    one, two = supervisor._open
    key = next(key for key, worker in supervisor._workers.items() if worker is supervisor._open[one].worker)
    with RawClient(relays.endpoint(grant="one")) as client, pytest.raises(HandleInvalid):
        supervisor._answer(key, two, client.stream)
