"""Handles of real PostgreSQL relays as fixtures, and what the tests of them have in common."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from connvault_jupyter.kernel.clients.sql.hand_over import hand_over
from connvault_jupyter.services.relay_ports import RelayEndpoint
from setup_hooks.postgresql import Login, PostgresServer

from ..broker.processes import wait_until
from .postgres_relay import vault_of
from .relay_handles import Relays, relays


@pytest.fixture(scope="module")
def login(postgres: PostgresServer) -> Iterator[Login]:
    suffix = secrets.token_hex(4)
    made = postgres.create_login(f"reader_{suffix}", database=f"shop_{suffix}")
    yield made
    postgres.drop_login(made)


@pytest.fixture(scope="module")
def shared(login: Login) -> Iterator[Relays]:
    """One broker's relays, for the tests that spoil nothing."""
    with relays(vault_of(login)) as found:
        yield found


@pytest.fixture
def own(postgres_login: Login) -> Iterator[Relays]:
    """Relays for one test, with a login of its own."""
    with relays(vault_of(postgres_login)) as found:
        yield found


@pytest.fixture
def endpoint(shared: Relays) -> RelayEndpoint:
    return shared.endpoint()


def sleeps(postgres: PostgresServer, pid: int) -> None:
    """Returns when this session is in its `pg_sleep`."""
    statement = f"select 1 from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'"
    wait_until(lambda: postgres.execute(statement), deadline_s=10, what="the query to run")


def handed(endpoint: RelayEndpoint, found: Any) -> bool:
    """Whether the connection goes on with the server's own socket."""
    opened: Any = SimpleNamespace(directory=endpoint.directory)
    return hand_over(opened, found.info.backend_pid, found.fileno(), found) is not None
