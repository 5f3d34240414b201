"""The PostgreSQL server that the tests share, and a login of one's own on it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

import pytest

from setup_hooks.postgresql import Login, PostgresServer


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
