"""Warm logins: how many, for how long, for whom, and that none comes back with something under way."""

from __future__ import annotations

import dataclasses
import gc
import socket
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from connvault_jupyter.errors import UpstreamUnreachable
from connvault_jupyter.relays.downstream import Login as RelayLogin
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql import pool as postgresql_pool
from connvault_jupyter.relays.postgresql.login import Parameters, Session, log_in
from connvault_jupyter.relays.postgresql.messages import query
from connvault_jupyter.relays.postgresql.pool import Key, WarmLogins, key_of, reset
from connvault_jupyter.relays.upstream import shut
from setup_hooks.postgresql import Login
from tests.support.broker.processes import wait_until
from tests.support.relays.postgres_relay import fields_of
from tests.support.servers.postgres_upstream import login_to, read_message

LOGIN = login_to(5432)
KEY = key_of(LOGIN, ())


class Server:
    """Logs in without a server: a session is one end of a socket pair."""

    def __init__(self) -> None:
        self.far: list[socket.socket] = []
        self.asked = 0
        self.broken = False
        self.allowed = threading.Event()
        self.allowed.set()

    def log_in(self, login: RelayLogin, parameters: Parameters) -> Session:
        assert login.secrets
        self.asked += 1
        self.allowed.wait(10)
        if self.broken:
            raise UpstreamUnreachable
        return self.session()

    def session(self) -> Session:
        near, far = socket.socketpair()
        self.far.append(far)
        return Session(near, ("127.0.0.1", 1), {}, b"", {}, len(self.far), b"key!")

    def ended(self, number: int) -> bool:
        """Whether the session of this number has said goodbye."""
        far = self.far[number - 1]
        far.settimeout(5)
        return far.recv(100)[:5] in (b"X\0\0\0\x04", b"")


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.allowed.set()
    for far in found.far:
        far.close()


@pytest.fixture
def warm(server: Server) -> Iterator[WarmLogins]:
    found = WarmLogins(limits=Limits(warm_logins=2), log_in=server.log_in)
    yield found
    found.close()


def taken(warm: WarmLogins, key: Key = KEY) -> int | None:
    """The number of the session that is given out."""
    session = warm.take(key)
    if session is None:
        return None
    session.stream.close()
    return session.pid


def test_one_that_was_given_back_is_given_out(server: Server, warm: WarmLogins) -> None:
    """Once."""
    warm.give(KEY, server.session())
    assert taken(warm) == 1
    assert taken(warm) is None


@pytest.mark.parametrize(
    "change", [{"revision": 2}, {"rotation": "r2"}, {"parameters": ((b"options", b"-c a=b"),)}]
)
def test_for_another_key_there_is_none(server: Server, warm: WarmLogins, change: dict[str, Any]) -> None:
    """Whatever differs."""
    warm.give(KEY, server.session())
    assert taken(warm, dataclasses.replace(KEY, **change)) is None


@pytest.mark.parametrize("name", ["host", "port", "user", "database", "sslmode", "ca_certificate"])
def test_every_field_is_part_of_the_key(name: str) -> None:
    """A session that was verified by another authority is another one."""
    other = dataclasses.replace(LOGIN, fields={**LOGIN.fields, name: "another"})
    assert key_of(other, ()) != KEY
    assert key_of(login_to(5432), ()) == KEY


@pytest.mark.parametrize("change", [{"revision": 2}, {"rotation": "r2"}])
def test_a_newer_login_ends_those_of_the_older(
    server: Server, warm: WarmLogins, change: dict[str, Any]
) -> None:
    """A replaced secret has no sessions left."""
    warm.give(KEY, server.session())
    assert taken(warm, dataclasses.replace(KEY, **change)) is None
    assert server.ended(1)
    assert taken(warm) is None


def test_of_too_many_the_oldest_of_the_commonest_goes(server: Server, warm: WarmLogins) -> None:
    """Two kinds of clients that take turns both find one."""
    other = dataclasses.replace(KEY, parameters=((b"application_name", b"x"),))
    for key in (other, KEY, KEY):
        warm.give(key, server.session())
    assert server.ended(2)
    assert (taken(warm), taken(warm, other)) == (3, 1)


def test_one_that_the_server_has_ended_or_spoken_on_is_not_given_out(
    server: Server, warm: WarmLogins
) -> None:
    """A restart, a shutdown, a notice."""
    warm.give(KEY, server.session())
    warm.give(KEY, server.session())
    server.far[0].close()
    server.far[1].sendall(b"E")
    assert taken(warm) is None


def test_one_that_waits_too_long_is_ended(
    server: Server, warm: WarmLogins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds one of the server's connections."""
    monkeypatch.setattr(postgresql_pool, "IDLE_S", 0.05)
    warm.give(KEY, server.session())
    assert server.ended(1)
    assert taken(warm) is None


def test_one_that_came_back_while_there_was_none_is_ended_too(
    server: Server, warm: WarmLogins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody has asked for another one meanwhile, and nothing was going to expire."""
    monkeypatch.setattr(postgresql_pool, "IDLE_S", 0.05)
    waits: list[float | None] = []
    next_expiry_s = warm._next_expiry_s

    def noted() -> float | None:
        waits.append(next_expiry_s())
        return waits[-1]

    monkeypatch.setattr(warm, "_next_expiry_s", noted)
    warm.order(KEY, LOGIN)
    session = wait_until(lambda: warm.take(KEY), deadline_s=20, what="the login")
    wait_until(lambda: waits[-1:] == [None], deadline_s=20, what="the end of what it waits for")
    warm.give(KEY, session)
    assert server.ended(1)


def test_forgotten_all_are_ended_and_others_are_kept_again(server: Server, warm: WarmLogins) -> None:
    """Those that were there began under settings that are over."""
    warm.give(KEY, server.session())
    in_use = server.session()
    warm.forget()
    assert server.ended(1)
    warm.give(KEY, in_use)
    assert server.ended(2)
    warm.give(KEY, server.session())
    assert taken(warm) == 3


def test_a_session_may_be_picked_before_its_whole_key_is_known(server: Server, warm: WarmLogins) -> None:
    """By its database and how to talk; with its key, which tells whether it fits."""
    elsewhere = key_of(dataclasses.replace(LOGIN, fields={**LOGIN.fields, "database": "elsewhere"}), ())
    warm.give(KEY, server.session())
    warm.give(elsewhere, server.session())
    assert warm.pick("elsewhere", ((b"options", b"-c a=b"),)) is None
    assert warm.pick("nowhere", ()) is None
    picked = warm.pick("elsewhere", ())
    assert picked is not None
    assert (picked[0], picked[1].pid) == (elsewhere, 2)
    picked[1].stream.close()
    assert warm.pick("elsewhere", ()) is None


def test_one_logged_in_beforehand_has_the_settings_that_were_seen_before(
    server: Server, warm: WarmLogins
) -> None:
    """A change while it is logged in is one afterwards."""
    warm.order(KEY, LOGIN, b"seen before")
    session = wait_until(lambda: warm.take(KEY), deadline_s=20, what="the login")
    assert session.settings_seen == b"seen before"
    session.stream.close()


def test_one_that_was_logged_in_long_ago_is_not_kept(server: Server, warm: WarmLogins) -> None:
    """However often it was used since."""
    session = server.session()
    session.since -= postgresql_pool.MAX_AGE_S
    warm.give(KEY, session)
    assert server.ended(1)
    assert taken(warm) is None


def test_one_is_logged_in_beforehand(server: Server, warm: WarmLogins) -> None:
    """And no second one while there is one."""
    warm.order(KEY, LOGIN)
    session = wait_until(lambda: warm.take(KEY), deadline_s=20, what="the login")
    warm.give(KEY, session)
    warm.order(KEY, LOGIN)
    assert (taken(warm), taken(warm), server.asked) == (1, None, 1)


def test_a_client_waits_for_the_one_that_is_coming(server: Server, warm: WarmLogins) -> None:
    """It is ahead of a login of its own; whoever comes second does not wait."""
    server.allowed.clear()
    warm.order(KEY, LOGIN)
    found: list[int | None] = []
    clients = [threading.Thread(target=lambda: found.append(taken(warm))) for _ in range(2)]
    for client in clients:
        client.start()
    wait_until(lambda: found, deadline_s=20, what="one that does not wait")
    server.allowed.set()
    for client in clients:
        client.join(5)
    assert found == [None, 1]


def test_after_a_failed_login_beforehand_there_is_a_pause(server: Server, warm: WarmLogins) -> None:
    """The server may have no room; its next client finds out for itself."""
    server.broken = True
    warm.order(KEY, LOGIN)
    # Waits for what is coming, here for its failure.
    assert taken(warm) is None
    server.broken = False
    warm.order(KEY, LOGIN)
    assert taken(warm) is None
    assert server.asked == 1


def test_the_secret_is_let_go_of(server: Server, warm: WarmLogins) -> None:
    """When the login beforehand is over, nothing refers to it."""

    class Watched(dict[str, str]):
        pass

    secrets = Watched(password="canary")
    gone = weakref.ref(secrets)
    warm.order(KEY, dataclasses.replace(LOGIN, secrets=secrets))
    del secrets
    wait_until(lambda: server.far, deadline_s=20, what="the login")
    wait_until(lambda: gc.collect() >= 0 and gone() is None, deadline_s=20, what="the secret to go")


def test_switched_off_there_are_none(server: Server) -> None:
    """No session, no thread, no login."""
    off = WarmLogins(limits=Limits(warm_logins=0), log_in=server.log_in)
    off.give(KEY, server.session())
    off.order(KEY, LOGIN)
    assert not off.kept
    assert server.ended(1)
    assert taken(off) is None
    assert len(server.far) == 1


def test_a_closed_pool_ends_all_its_sessions(server: Server, warm: WarmLogins) -> None:
    """And takes no more."""
    warm.give(KEY, server.session())
    warm.close()
    warm.give(KEY, server.session())
    assert server.ended(1)
    assert server.ended(2)


@pytest.fixture
def session(postgres_login: Login) -> Iterator[Session]:
    login = RelayLogin(fields_of(postgres_login), {"password": postgres_login.password}, 1, "r1")
    found = log_in(login, (), limits=Limits())
    yield found
    shut(found.stream)


def run(session: Session, text: str) -> None:
    session.stream.sendall(query(text))
    while read_message(session.stream)[0] != b"Z":
        pass


def test_a_session_is_reset(session: Session) -> None:
    """Twice, with settings changed in between; nothing is left to read."""
    for _ in range(2):
        run(session, "set datestyle = 'German'; create temp table t (n int)")
        assert reset(session)
        session.stream.setblocking(False)
        with pytest.raises(BlockingIOError):
            session.stream.recv(1)
        session.stream.setblocking(True)


@pytest.mark.parametrize(
    "left",
    [
        query("begin"),
        query("select 1"),
        query("discard all"),
        query("discard all; select 1"),
        query("discard all") + query("select 5"),
        b"P\0\0\0\x10\0select 1\0\0\0",
        b"P\0\0\0\x0c\0nonsense\0"[:13],
        query("select pg_sleep(0.2)"),
        query("copy pg_class to stdout"),
    ],
)
def test_a_session_with_something_under_way_is_not_kept(
    session: Session, left: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results that nobody has read, a transaction, an error without a Sync, half a message, a made-up answer."""
    monkeypatch.setattr(postgresql_pool, "_RESET_S", 0.5)
    session.stream.sendall(left)
    assert not reset(session)
