"""The scripted broker for the tests beside this file, and a handle for a real PostgreSQL behind real relays."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import sqlalchemy

from connvault_jupyter import connection
from connvault_jupyter.kernel.families import PostgresqlHandle
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.scripted_broker import ScriptedBroker
from tests.support.broker.scripted_broker import scripted_broker as scripted_broker
from tests.support.canary import CANARY
from tests.support.relays.postgres_relay import fields_of
from tests.support.relays.relayed_handles import POSTGRESQL, RelayedHandles, Stage, stage


@pytest.fixture(autouse=True)
def _proxies_as_before() -> Iterator[None]:
    """Handles add to what proxies are not used for, for good."""
    names = ("NO_PROXY", "no_proxy")
    before = {name: os.environ[name] for name in names if name in os.environ}
    yield
    for name in names:
        os.environ.pop(name, None)
    os.environ.update(before)


@pytest.fixture
def login(postgres: PostgresServer, postgres_login: Login) -> Login:
    """A user whose password is the canary."""
    return postgres.set_password(postgres_login, CANARY)


@pytest.fixture(scope="module")
def postgres_stage() -> Iterator[Stage]:
    with stage(POSTGRESQL) as found:
        yield found


@pytest.fixture
def handles(scripted_broker: ScriptedBroker, postgres_stage: Stage, login: Login) -> RelayedHandles:
    """The broker knows the login."""
    return postgres_stage.put(scripted_broker, fields_of(login), {"password": login.password})


@pytest.fixture
def handle(handles: RelayedHandles) -> PostgresqlHandle:
    return connection("warehouse", kind="postgresql")


@pytest.fixture
def engine(handle: PostgresqlHandle) -> Iterator[sqlalchemy.Engine]:
    made = handle.engine(pool_size=1, max_overflow=0)
    yield made
    made.dispose()
