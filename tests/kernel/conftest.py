"""The scripted broker for the tests beside this file, and a handle for a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy

from connvault_jupyter import connection
from connvault_jupyter.kernel.handle import Handle
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.canary import CANARY
from tests.support.scripted_broker import Handles, ScriptedBroker
from tests.support.scripted_broker import scripted_broker as scripted_broker


@pytest.fixture
def login(postgres: PostgresServer, postgres_login: Login) -> Login:
    """A user whose password is the canary."""
    return postgres.set_password(postgres_login, CANARY)


@pytest.fixture
def handles(scripted_broker: ScriptedBroker, login: Login) -> Handles:
    """The broker knows the login."""
    return Handles(
        fields={
            "host": login.host,
            "port": login.port,
            "database": login.database,
            "user": login.user,
            "sslmode": "prefer",
        },
        secrets={"password": login.password},
    ).install(scripted_broker)


@pytest.fixture
def handle(handles: Handles) -> Handle:
    return connection("warehouse")


@pytest.fixture
def engine(handle: Handle) -> Iterator[sqlalchemy.Engine]:
    made = handle.engine(pool_size=1, max_overflow=0)
    yield made
    made.dispose()
