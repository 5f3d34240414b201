"""PostgreSQL on several servers: which one is logged in to, measured by what libpq does with the same words."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.downstream import Login as RelayLogin
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql.login import cancel, log_in
from connvault_jupyter.relays.upstream import shut
from setup_hooks.postgresql import Login, PostgresServer, free_port
from tests.support.relays.postgres_relay import conninfo, fields_of, vault_of
from tests.support.relays.relay_handles import relays
from tests.support.servers.postgres import encrypted_postgres
from tests.support.servers.postgres_upstream import AUTH_OK, KEY, READY, exactly, login_to, says
from tests.support.servers.scripted_upstream import upstream
from tests.support.servers.tls import loopback_certificate

ATTRS = ("any", "read-write", "read-only", "primary", "standby", "prefer-standby")
PASSWORD = "the same on each"


@dataclass(frozen=True)
class Fleet:
    """Servers by what they are; nobody listens on `dead`."""

    ports: dict[str, int]
    login: Login

    def hosts(self, names: str) -> str:
        return ",".join(f"127.0.0.1:{self.ports[name]}" for name in names.split())

    def of(self, port: int) -> str:
        return next(name for name, known in self.ports.items() if known == port)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    ports = {"dead": free_port()}
    with ExitStack() as stack:
        for name in ("primary", "standby", "guarded"):
            settings = {"log_statement": "none"}
            log = tmp_path_factory.mktemp(name) / "log"
            server = stack.enter_context(PostgresServer(log_file=log, settings=settings))
            login = server.create_login("reader", database="shop", password=PASSWORD)
            if name == "standby":
                # It waits for more to recover, for ever.
                (server.data / "standby.signal").touch()
                owner = server.data.stat()
                os.chown(server.data / "standby.signal", owner.st_uid, owner.st_gid)
                server.restart()
            elif name == "guarded":
                settings["default_transaction_read_only"] = "on"
                server.restart()
            ports[name] = login.port
        yield Fleet(ports, login)


def by_libpq(fleet: Fleet, names: str, attrs: str) -> str:
    """The server that libpq takes; empty: none."""
    ports = [str(fleet.ports[name]) for name in names.split()]
    where = f"host={','.join(['127.0.0.1'] * len(ports))} port={','.join(ports)}"
    done = subprocess.run(
        ["psql", "-X", "-A", "-t", "-c", "select inet_server_port()",
         f"{where} user=reader dbname=shop sslmode=disable target_session_attrs={attrs}"],
        env={**os.environ, "PGPASSWORD": PASSWORD}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return fleet.of(int(done.stdout)) if done.returncode == 0 else ""


def by_us(fields: dict[str, Any], password: str = PASSWORD, **limits: float) -> int:
    """The port of the server that the relay takes."""
    login = RelayLogin(fields, {"password": password}, 1, "r1")
    session = log_in(login, (), limits=Limits(**limits))  # type: ignore[arg-type]
    shut(session.stream)
    return session.address[1]


@pytest.mark.parametrize("attrs", ATTRS)
@pytest.mark.parametrize(
    "names",
    [
        "primary standby", "standby primary", "dead guarded primary", "guarded standby", "standby", "primary dead",
        "primary guarded", "dead",
    ],
)  # fmt: skip
def test_the_server_is_the_one_that_libpq_takes(fleet: Fleet, names: str, attrs: str) -> None:
    """In order, the first that is there and of the kind."""
    fields = fields_of(fleet.login, host=fleet.hosts(names), target_session_attrs=attrs)
    expected = by_libpq(fleet, names, attrs)
    if expected:
        assert fleet.of(by_us(fields)) == expected
    else:
        with pytest.raises((UpstreamRefused, UpstreamUnreachable)):
            by_us(fields)


def test_the_host_of_several_is_the_same_through_a_handle_and_stays_so(fleet: Fleet) -> None:
    """Also from what is kept for the next client."""
    hosts = fleet.hosts("dead standby primary")
    with relays(vault_of(fleet.login, host=hosts, target_session_attrs="read-write")) as found:
        endpoint = found.endpoint()
        for _ in range(4):
            with psycopg.connect(**conninfo(endpoint)) as connection:
                row = connection.execute("select inet_server_port()").fetchone()
                assert row == (fleet.ports["primary"],)


def test_a_port_of_the_form_is_for_those_without_one(fleet: Fleet) -> None:
    """`db1,db2:5433`."""
    host = f"127.0.0.1:{fleet.ports['dead']},127.0.0.1"
    fields = fields_of(fleet.login, host=host, port=fleet.ports["primary"])
    assert fleet.of(by_us(fields)) == "primary"


def test_a_login_that_is_refused_is_refused(fleet: Fleet) -> None:
    """The same password at the next one would only be a second wrong one in its log."""
    with pytest.raises(UpstreamAuthFailed):
        by_us(fields_of(fleet.login, host=fleet.hosts("primary standby")), "wrong")


@pytest.mark.parametrize("host", ["127.0.0.1,", "127.0.0.1:x", "127.0.0.1:0", "[::1", "127.0.0.1:99999"])
def test_what_is_no_list_of_servers_is_told(fleet: Fleet, host: str) -> None:
    """No row of a database may have it otherwise."""
    with pytest.raises(UpstreamUnreachable, match="list of servers"):
        by_us(fields_of(fleet.login, host=host))


def test_an_unknown_kind_is_refused(fleet: Fleet) -> None:
    """Before anything is connected."""
    with pytest.raises(UpstreamRefused, match="kind of server"):
        by_us(fields_of(fleet.login, target_session_attrs="fastest"))


def test_servers_share_the_time_of_one(fleet: Fleet) -> None:
    """One that says nothing does not use up what a client waits for."""
    with upstream(says(b"")) as silent:
        hosts = f"127.0.0.1:{silent},{fleet.hosts('primary')}"
        fields = fields_of(fleet.login, host=hosts)
        assert fleet.of(by_us(fields, connect_s=0.5, login_s=3600)) == "primary"


def test_one_that_is_starting_up_is_passed_by(fleet: Fleet) -> None:
    """It will be there in a moment, and the next one is now."""
    with upstream(says(b"E\0\0\0\x0fC57P03\0Mx\0\0")) as starting:
        hosts = f"127.0.0.1:{starting},{fleet.hosts('primary')}"
        assert fleet.of(by_us(fields_of(fleet.login, host=hosts))) == "primary"


@pytest.mark.parametrize(
    ("standby", "read_only", "will_do"),
    [
        (b"f", b"off", {"any", "read-write", "primary", "prefer-standby"}),
        (b"f", b"on", {"any", "read-only", "primary", "prefer-standby"}),
        (b"t", b"on", {"any", "read-only", "standby", "prefer-standby"}),
    ],
)
@pytest.mark.parametrize("attrs", ATTRS)
def test_a_server_that_does_not_report_whether_it_is_a_standby_is_asked(
    standby: bytes, read_only: bytes, will_do: set[str], attrs: str
) -> None:
    """Before PostgreSQL 14, or behind a pooler."""
    row = b"\0\x02\0\0\0\x01" + standby + b"\0\0\0" + bytes([len(read_only)]) + read_only
    answer = (
        b"T\0\0\0\x06\0\0" + b"D" + (len(row) + 4).to_bytes(4, "big") + row + b"C\0\0\0\x0dSELECT 1\0" + READY
    )

    def behave(stream: Any) -> None:
        while True:
            exactly(stream, int.from_bytes(exactly(stream, 4), "big") - 4)
            stream.sendall(AUTH_OK + KEY + READY)
            if stream.recv(1) == b"Q":
                exactly(stream, int.from_bytes(exactly(stream, 4), "big") - 4)
                stream.sendall(answer)
            return

    with upstream(behave) as port:
        fields = {**login_to(port).fields, "target_session_attrs": attrs}
        caught: list[ConnvaultError] = []
        try:
            by_us(fields)
        except ConnvaultError as exc:
            caught.append(exc)
    assert (not caught) is (attrs in will_do)


def test_each_of_several_has_its_own_name_to_prove(tmp_path_factory: pytest.TempPathFactory) -> None:
    """`verify-full`: a certificate of one is none of another's; cancel requests go to the one that was taken."""
    certificate = loopback_certificate()
    with encrypted_postgres(certificate, tmp_path_factory.mktemp("tls") / "log") as server:
        login = server.create_login("reader", database="shop")
        fields = fields_of(login, sslmode="verify-full", ca_certificate=certificate.authority)
        dead = f"127.0.0.1:{free_port()}"
        session = log_in(
            RelayLogin({**fields, "host": f"{dead},127.0.0.1:{login.port}"}, {"password": login.password}, 1, "r"),
            (), limits=Limits(),
        )  # fmt: skip
        cancel(session, limits=Limits())
        shut(session.stream)
        with pytest.raises(UpstreamTlsFailed):
            by_us({**fields, "host": f"{dead},localhost:{login.port},127.0.0.1"}, login.password)
