"""A handle's session of requests through real relays, its server, and another one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connvault_jupyter import connection
from connvault_jupyter.kernel.clients.http.requests_session import ApiSession
from tests.support.broker.scripted_broker import ScriptedBroker
from tests.support.canary import CANARY
from tests.support.relays.relayed_handles import HTTP, RelayedHandles, Stage, stage
from tests.support.servers.echo_api import EchoApi, echo_api

BEARER = f"Bearer {CANARY}"


@pytest.fixture
def here() -> Iterator[EchoApi]:
    with echo_api() as api:
        yield api


@pytest.fixture
def elsewhere() -> Iterator[EchoApi]:
    with echo_api() as api:
        yield api


@pytest.fixture(scope="module")
def http_stage() -> Iterator[Stage]:
    with stage(HTTP) as found:
        yield found


@pytest.fixture
def handles(scripted_broker: ScriptedBroker, here: EchoApi, http_stage: Stage) -> RelayedHandles:
    """A token for everything below /v1."""
    fields = {"base_url": f"{here.origin}/v1", "auth": "bearer", "allow_http": True}
    return http_stage.put(scripted_broker, fields, {"token": CANARY})


@pytest.fixture
def session(handles: RelayedHandles) -> Iterator[ApiSession]:
    with connection("warehouse", kind="http").session() as made:
        assert isinstance(made, ApiSession)
        yield made
