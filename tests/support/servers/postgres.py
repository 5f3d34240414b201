"""The PostgreSQL server that the tests share, a login of one's own on it, and servers that offer TLS."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from setup_hooks.postgresql import Login, PostgresServer

from .tls import ServerCertificate


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL on a free loopback port, scram-sha-256 for everyone. One a worker."""
    with PostgresServer(log_file=tmp_path_factory.mktemp("postgres") / "postgres.log") as server:
        yield server


@pytest.fixture
def postgres_login(postgres: PostgresServer) -> Iterator[Login]:
    """A fresh user who owns a fresh, empty database; both are gone after the test."""
    suffix = secrets.token_hex(4)
    login = postgres.create_login(f"reader_{suffix}", database=f"shop_{suffix}")
    yield login
    postgres.drop_login(login)


@contextmanager
def encrypted_postgres(
    certificate: ServerCertificate, log_file: Path, *, rules: str = "", prepare: str = ""
) -> Iterator[PostgresServer]:
    """A server with TLS. `rules` are the lines of its `pg_hba.conf`, if they are others; `prepare` runs before."""
    settings = {"log_statement": "none"}
    with PostgresServer(log_file=log_file, settings=settings) as server:
        if prepare:
            server.execute(prepare)
        owner = server.data.stat()
        files = {"server.crt": certificate.certificate, "server.key": certificate.key}
        for name, text in {**files, **({"pg_hba.conf": rules} if rules else {})}.items():
            file = server.data / name
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_text(text)
            os.chown(file, owner.st_uid, owner.st_gid)
        settings["ssl"] = "on"
        server.restart()
        yield server
