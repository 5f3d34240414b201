"""A real MariaDB of one's own, with TLS and ed25519: gone without a trace when it is stopped."""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pymysql
import pytest

from setup_hooks.postgresql import free_port
from tests.support.broker.processes import wait_until
from tests.support.servers.tls import ServerCertificate, loopback_certificate

# Installing takes 0.6 s and a start 0.5 s on two busy cores.
_DEADLINE_S = 40.0


@dataclass(frozen=True)
class Account:
    """Who may log in, and where."""

    port: int
    user: str
    database: str
    password: str = field(repr=False)

    def fields(self, **others: Any) -> dict[str, Any]:
        """As a connection of the provider `mysql` has them."""
        plain = {"host": "127.0.0.1", "port": self.port, "user": self.user, "database": self.database}
        return {**plain, "sslmode": "disable", **others}


class MariaDbServer:
    """Runs from `start` to `close`; `stop` and `start` in between keep data and port. Also for a `with` block."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="connvault-my-"))
        self.certificate: ServerCertificate = loopback_certificate()
        self.port = free_port()
        self._root_password = secrets.token_urlsafe(12)
        self._process: subprocess.Popen[bytes] | None = None
        for name, text in (
            ("ca.pem", self.certificate.authority),
            ("server.pem", self.certificate.certificate),
            ("key.pem", self.certificate.key),
        ):
            (self.folder / name).write_text(text)
        # A MariaDB that starts removes the temporary tables that it finds, also those of another one.
        self._temporary = self.folder / "tmp"
        self._temporary.mkdir()
        self._give_away()

    def __enter__(self) -> MariaDbServer:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self.close()

    def start(self) -> None:
        """Returns when it takes logins."""
        here = self.folder
        fresh = not (here / "data").exists()
        if fresh:
            self._install()
        self._process = subprocess.Popen(
            [
                _program("mariadbd"), "--no-defaults", f"--datadir={here / 'data'}", f"--socket={here / 'socket'}",
                f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={here / 'pid'}", *_as_whom(),
                f"--tmpdir={self._temporary}",
                f"--ssl-ca={here / 'ca.pem'}", f"--ssl-cert={here / 'server.pem'}", f"--ssl-key={here / 'key.pem'}",
                "--plugin-load-add=auth_ed25519", "--max-connections=300", "--skip-name-resolve",
                "--max-allowed-packet=64M",
                # The data does not outlive the server.
                "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M", "--skip-innodb-doublewrite",
                "--innodb-log-file-size=4M", "--aria-pagecache-buffer-size=1M", "--key-buffer-size=1M",
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=here,
            start_new_session=True,
        )  # fmt: skip
        wait_until(self._answers, deadline_s=_DEADLINE_S, what="MariaDB", process=self._process)
        if fresh:
            self._protect_root()

    def stop(self) -> None:
        """A crash: clients see a broken connection."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_DEADLINE_S)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """As root; the rows of the last statement."""
        with contextlib.closing(self._root(self._root_password)) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def create(self, *, how: str | None = None, password: str | None = None) -> Account:
        """A fresh user who may do all in a fresh database. `how`: what follows IDENTIFIED, with `%s` for the password;
        otherwise by mysql_native_password."""
        suffix = secrets.token_hex(4)
        account = Account(
            self.port, f"reader_{suffix}", f"shop_{suffix}", password or secrets.token_urlsafe(12)
        )
        identified = (how or "BY '%s'").replace("%s", account.password)
        self.execute(
            f"CREATE DATABASE {account.database}",
            f"CREATE USER {account.user}@'127.0.0.1' IDENTIFIED {identified}",
            f"GRANT ALL ON {account.database}.* TO {account.user}@'127.0.0.1'",
        )
        return account

    def set_password(self, account: Account, password: str) -> None:
        self.execute(f"ALTER USER {account.user}@'127.0.0.1' IDENTIFIED BY '{password}'")

    def drop(self, account: Account) -> None:
        self.execute(f"DROP DATABASE {account.database}", f"DROP USER {account.user}@'127.0.0.1'")

    def sessions(self, account: Account) -> int:
        """How many sessions of this user there are."""
        where = f"WHERE user = '{account.user}'"
        return int(self.execute(f"SELECT count(*) FROM information_schema.processlist {where}")[0][0])

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            # It listens there a moment before it does here; one that crashed has left its socket's file.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.folder / "socket"))
        except OSError:
            return False
        return True

    def _root(self, password: str) -> Any:
        return pymysql.connect(
            unix_socket=str(self.folder / "socket"), user="root", password=password, ssl_disabled=True,
            autocommit=True,
        )  # fmt: skip

    def _install(self) -> None:
        done = subprocess.run(
            [
                _program("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder / 'data'}", *_as_whom(),
                "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve",
                "--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M",
            ],
            check=False,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DEADLINE_S,
            cwd=self.folder,
            env={**os.environ, "TMPDIR": str(self._temporary)},
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def _protect_root(self) -> None:
        with contextlib.closing(self._root("")) as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER USER root@localhost IDENTIFIED BY '{self._root_password}'")

    def _give_away(self) -> None:
        if os.geteuid() == 0:
            account = pwd.getpwnam("mysql")
            for path in (self.folder, *self.folder.iterdir()):
                os.chown(path, account.pw_uid, account.pw_gid)


def _as_whom() -> list[str]:
    """MariaDB refuses to run as root."""
    return ["--user=mysql"] if os.geteuid() == 0 else []


def _program(name: str) -> str:
    found = shutil.which(
        name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
    )
    assert found is not None, f"{name} is missing: install Debian's package mariadb-server"
    return found


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbServer]:
    """One a worker; tests that use it are of the group `mariadb`, so there is one."""
    with MariaDbServer() as server:
        yield server


@pytest.fixture
def account(mariadb: MariaDbServer) -> Iterator[Account]:
    """A fresh user of a fresh database."""
    made = mariadb.create()
    yield made
    mariadb.drop(made)
