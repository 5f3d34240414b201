"""MySQL behind a Unix socket: logged in to with a password or as the system's user, and nothing else is spoken to."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from connvault_jupyter.errors import (
    ConnvaultError,
    UpstreamAuthFailed,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)
from connvault_jupyter.kernel.clients.sql.mysql import _taken_over
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.mysql.relay import Relay
from tests.support.relays.mysql_relay import mysql_relays
from tests.support.servers.mariadb import MariaDbServer
from tests.support.servers.mariadb import mariadb as mariadb
from tests.support.servers.mysql_server import MySql8, Wire


@pytest.fixture(scope="module")
def fields(mariadb: MariaDbServer) -> Iterator[dict[str, Any]]:
    """Of a user who may come by the socket only."""
    suffix = secrets.token_hex(4)
    user, database = f"local_{suffix}", f"shop_{suffix}"
    mariadb.execute(
        f"CREATE DATABASE {database}",
        f"CREATE USER {user}@localhost IDENTIFIED BY 'the password'",
        f"GRANT ALL ON {database}.* TO {user}@localhost",
    )
    path = str(mariadb.folder / "socket")
    yield {"host": path, "port": 3306, "user": user, "database": database, "sslmode": "verify-full"}
    mariadb.execute(f"DROP DATABASE {database}", f"DROP USER {user}@localhost")


def log_in(fields: dict[str, Any], password: str = "", **limits: float) -> str:
    given = {"password": password} if password else {}
    return Relay(limits=Limits(**limits)).log_in(Login(fields, given, 1, "r"))  # type: ignore[arg-type]


def test_a_login_by_the_socket(fields: dict[str, Any]) -> None:
    """Nothing is encrypted there, so nothing of that is asked for."""
    with (
        mysql_relays(fields, "the password") as served,
        served.connect() as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT current_user(), database()")
        assert cursor.fetchone() == (f"{fields['user']}@localhost", fields["database"])


def test_a_mysql_session_that_is_handed_over_is_the_servers_own_socket(fields: dict[str, Any]) -> None:
    """No bytes are copied then."""
    with mysql_relays(fields, "the password") as served:
        opened = served.opened()
        with pymysql.connect(unix_socket=opened.socket, ssl_disabled=True) as connection:
            assert _taken_over(opened, connection)
            assert vars(connection)["_sock"].getpeername() == fields["host"]
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
                assert cursor.fetchone() == (1,)


def test_the_systems_user_needs_no_password(mariadb: MariaDbServer, fields: dict[str, Any]) -> None:
    """MariaDB's unix_socket: the server looks who is there."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    by_password = f"mysql_native_password USING PASSWORD('{mariadb._root_password}')"
    if user == "root":
        mariadb.execute(f"ALTER USER root@localhost IDENTIFIED VIA {by_password} OR unix_socket")
    else:
        mariadb.execute(f"CREATE USER '{user}'@localhost IDENTIFIED VIA unix_socket")
    try:
        found = log_in({**fields, "user": user, "database": "information_schema"})
    finally:
        mariadb.execute(
            f"ALTER USER root@localhost IDENTIFIED VIA {by_password}"
            if user == "root"
            else f"DROP USER '{user}'@localhost"
        )
    assert found.startswith("MariaDB")


def test_a_wrong_password_is_a_wrong_password(fields: dict[str, Any]) -> None:
    """Also the one that is not there."""
    for password in ("wrong", ""):
        with pytest.raises(UpstreamAuthFailed):
            log_in(fields, password)


def test_nobody_listens_there(fields: dict[str, Any]) -> None:
    """No such path, one that is too long, several."""
    for host in ("/nowhere/mysqld.sock", "/" + "x" * 200, "/one,/two"):
        with pytest.raises(UpstreamUnreachable):
            log_in({**fields, "host": host}, "x", connect_s=0.5)


def test_another_program_is_told_nothing_at_all(tmp_path: Path, fields: dict[str, Any]) -> None:
    """The server speaks first: what does not greet as one hears nothing, whether it waits or says something else."""
    heard: list[bytes] = []
    path = str(tmp_path / "docker.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(4)

        def serve() -> None:
            for answer in (b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0\0\0\x02{}"):
                stream, _ = listener.accept()
                with stream:
                    stream.settimeout(10)
                    stream.sendall(answer)
                    try:
                        heard.append(stream.recv(4096))
                    except ConnectionResetError:
                        # It has gone without reading all of the answer.
                        heard.append(b"")

        thread = threading.Thread(target=serve)
        thread.start()
        for _ in range(3):
            with pytest.raises(ConnvaultError):
                log_in({**fields, "host": path}, "the password", login_s=0.5)
        thread.join(10)
    assert heard == [b"", b"", b""]


@pytest.mark.parametrize(("mode", "kept"), [(0o777, False), (0o1777, False), (0o700, True)])
def test_the_password_itself_goes_to_no_socket_that_anybody_could_have_put_there(
    tmp_path: Path, fields: dict[str, Any], mode: int, kept: bool
) -> None:
    """MySQL 8 asks for it once, and a Unix socket is encryption enough to it."""
    folder = tmp_path / "s"
    folder.mkdir()
    folder.chmod(mode)
    server = MySql8(b"the password")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "mysqld.sock"))
        listener.listen(1)

        def serve() -> None:
            stream, _ = listener.accept()
            with stream:
                stream.settimeout(10)
                with contextlib.suppress(ConnectionError):
                    server(Wire(stream))

        thread = threading.Thread(target=serve)
        thread.start()
        caught: list[ConnvaultError] = []
        try:
            log_in({**fields, "host": str(folder / "mysqld.sock")}, "the password")
        except ConnvaultError as exc:
            caught.append(exc)
        thread.join(10)
    # It came without TLS, which this server of the tests does not take.
    assert (server.seen == ["clear without TLS"]) is kept
    assert any(isinstance(error, UpstreamTlsFailed) for error in caught) is not kept
