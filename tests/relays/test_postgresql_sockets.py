"""PostgreSQL behind a Unix socket: logged in to with a password or as the system's user, and nothing else obeys."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    SecretMissing,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.relays.downstream import Login as RelayLogin
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.postgresql.login import log_in
from connvault_jupyter.relays.upstream import shut
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.processes import wait_until
from tests.support.relays.postgres_handles import handed, sleeps
from tests.support.relays.postgres_relay import conninfo, fields_of, os_user, vault_of
from tests.support.relays.relay_handles import relays

RULES = """
local all postgres scram-sha-256
host all postgres 127.0.0.1/32 scram-sha-256
local all {peer} peer
local all clear password
local all digest md5
local all all scram-sha-256
"""


@dataclass
class Behind:
    """A server with a socket in `folder`, and logins of it by how they prove themselves."""

    server: PostgresServer
    folder: str
    logins: dict[str, Login]

    def fields(self, how: str, **changed: Any) -> dict[str, Any]:
        return fields_of(self.logins[how], **{"host": self.folder, **changed})


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    log = tmp_path_factory.mktemp("behind") / "log"
    settings = {"log_statement": "none"}
    with (
        PostgresServer(log_file=log, settings=settings) as server,
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
    ):
        # A folder of ours, in which the server's group may put a socket, and nobody else.
        os.chown(folder, -1, server.data.stat().st_gid)
        os.chmod(folder, 0o770)  # noqa: S103 -- its group is the server's
        settings["unix_socket_directories"] = folder
        (server.data / "pg_hba.conf").write_text(RULES.format(peer=os_user()))
        logins = {"scram": server.create_login("scram", database="shop")}
        server.execute("set password_encryption = 'md5'; create role digest login password 'digest'")
        server.execute(f"create role clear login password '{secrets.token_hex(8)}'")
        server.execute(f'create role "{os_user()}" login')
        where = logins["scram"]
        for user in ("clear", "digest", os_user()):
            password = "digest" if user == "digest" else secrets.token_hex(8)
            logins["peer" if user == os_user() else user] = Login(
                where.host, where.port, user, "shop", password
            )
        logins["clear"] = server.set_password(logins["clear"])
        server.restart()
        yield Behind(server, folder, logins)


@pytest.mark.parametrize("sslmode", ["disable", "require", "verify-full"])
@pytest.mark.parametrize("how", ["scram", "peer", "clear", "digest"])
def test_a_login_by_the_socket(behind: Behind, how: str, sslmode: str) -> None:
    """Whatever the server asks for; nothing is encrypted there, so nothing of that is asked for."""
    login = behind.logins[how]
    vault = vault_of(login, host=behind.folder, sslmode=sslmode)
    if how == "peer":
        vault.secrets = {}
    with relays(vault) as found:
        endpoint = found.endpoint()
        for _ in range(3):
            with psycopg.connect(**conninfo(endpoint)) as connection:
                row = connection.execute("select current_user::text, inet_server_addr()").fetchone()
                assert row == (login.user, None)


def test_a_postgresql_session_that_is_handed_over_is_the_servers_own_socket(behind: Behind) -> None:
    """And a query of it is cancelled at the server."""
    with relays(vault_of(behind.logins["scram"], host=behind.folder)) as found:
        endpoint = found.endpoint()
        with psycopg.connect(**conninfo(endpoint), autocommit=True) as connection:
            assert handed(endpoint, connection)
            with socket.socket(fileno=connection.fileno()) as stream:
                assert stream.getpeername() == f"{behind.folder}/.s.PGSQL.{behind.logins['scram'].port}"
                stream.detach()
            pid = connection.info.backend_pid

            def cancel() -> None:
                sleeps(behind.server, pid)
                connection.cancel_safe()

            thread = threading.Thread(target=cancel)
            thread.start()
            with pytest.raises(psycopg.errors.QueryCanceled):
                connection.execute("select pg_sleep(20)")
            thread.join()
            assert connection.execute("select 1").fetchone() == (1,)


@pytest.mark.parametrize("way", ["relay", "hand_over"])
def test_a_revoke_ends_the_query_at_the_server(behind: Behind, way: str) -> None:
    """Who has closed a Unix socket can't be seen; so the server is told in any case."""
    with relays(vault_of(behind.logins["scram"], host=behind.folder)) as found:
        order = found.order()
        endpoint = found.supervisor.open(order)
        connection = psycopg.connect(**conninfo(endpoint), autocommit=True)
        if way == "hand_over":
            assert handed(endpoint, connection)
        pid = connection.info.backend_pid
        query = f"select 1 from pg_stat_activity where pid = {pid} and query ~ 'sleep'"

        def revoke() -> None:
            sleeps(behind.server, pid)
            found.revoke(order.ref)

        thread = threading.Thread(target=revoke)
        thread.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select pg_sleep(60)")
        thread.join()
        wait_until(lambda: not behind.server.execute(query), deadline_s=10, what="the query's end")


def attempt(fields: dict[str, Any], password: str = "", **limits: float) -> None:
    secrets_ = {"password": password} if password else {}
    session = log_in(RelayLogin(fields, secrets_, 1, "r1"), (), limits=Limits(**limits))  # type: ignore[arg-type]
    shut(session.stream)


def test_a_server_that_asks_for_a_password_that_is_not_there(behind: Behind) -> None:
    """It can be left out in the form; the server decides."""
    with pytest.raises(SecretMissing, match="asks for a password"):
        attempt(behind.fields("scram"))


def test_nobody_listens_there(behind: Behind) -> None:
    """No such folder, another port, a path that is too long."""
    for fields in ({"host": "/nowhere"}, {"port": 1}, {"host": "/" + "x" * 200}):
        with pytest.raises(UpstreamUnreachable, match="path"):
            attempt(behind.fields("scram", **fields), "x")


@dataclass
class Other:
    """A program of another kind behind a socket that is called like PostgreSQL's. `heard` is what it was told."""

    folder: str
    heard: list[bytes] = field(default_factory=list)


@contextmanager
def listening(folder: Path, answers: list[bytes], *, port: int = 5432) -> Iterator[Other]:
    """Each client gets one answer to the first that it says."""
    other = Other(str(folder))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/.s.PGSQL.{port}")
        listener.listen(8)

        def serve() -> None:
            for answer in answers:
                stream, _ = listener.accept()
                with stream:
                    stream.settimeout(5)
                    other.heard.append(stream.recv(4096))
                    stream.sendall(answer)
                    while answer and (data := stream.recv(4096)):
                        other.heard[-1] += data

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield other
        finally:
            thread.join(10)
            assert not thread.is_alive()


SSL_REQUEST = b"\0\0\0\x08\x04\xd2\x16\x2f"


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"E", b"", b"Nnonsense", b"\0\0\0\x05{}"]
)
def test_another_program_hears_nothing_that_was_chosen_for_it(
    tmp_path: Path, behind: Behind, answer: bytes
) -> None:
    """A notebook server, a container engine, an agent: the eight bytes that every PostgreSQL knows, and no more."""
    with listening(tmp_path, [answer]) as other, pytest.raises(UpstreamRefused):
        attempt(behind.fields("scram", host=other.folder, port=5432), "the password")
    assert other.heard == [SSL_REQUEST]


def test_a_program_that_says_nothing_is_not_waited_for(tmp_path: Path, behind: Behind) -> None:
    """It waits for the rest of its own kind of message."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/.s.PGSQL.5432")
        listener.listen(1)
        with pytest.raises(UpstreamTimeout):
            attempt(behind.fields("scram", host=str(tmp_path), port=5432), "x", connect_s=0.2)


def test_a_proxy_whose_server_offers_encryption_is_logged_in_through(tmp_path: Path, behind: Behind) -> None:
    """It passes on what the server behind it says: then it is asked anew, without."""
    answers = [b"S", b"E\0\0\0\x0fC57P03\0Mx\0\0"]
    with listening(tmp_path, answers) as other, pytest.raises(UpstreamRefused, match="starting up"):
        attempt(behind.fields("scram", host=other.folder, port=5432), "x")
    assert other.heard[0] == SSL_REQUEST
    assert b"user\0scram\0database\0shop" in other.heard[1]


@pytest.mark.parametrize(("mode", "kept"), [(0o777, False), (0o1777, False), (0o700, True)])
def test_the_password_itself_goes_to_no_socket_that_anybody_could_have_put_there(
    tmp_path: Path, behind: Behind, mode: int, kept: bool
) -> None:
    """In `/tmp` the first one to come is the server. SCRAM proves both sides; this proves neither."""
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(mode)
    caught: list[ConnvaultError] = []
    with listening(folder, [b"S", b"R\0\0\0\x08\0\0\0\x03"]) as other:
        try:
            attempt(behind.fields("scram", host=other.folder, port=5432), "the password", login_s=2)
        except ConnvaultError as exc:
            caught.append(exc)
    assert (b"the password" in other.heard[1]) is kept
    assert isinstance(caught[0], UpstreamTlsFailed) is not kept
