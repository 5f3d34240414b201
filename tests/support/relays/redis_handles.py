"""Handles of real Redis relays as fixtures, at a server of the module's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..servers.redis_server import RedisServer, redis_server
from .redis_relay import RedisRelays, redis_relays

PASSWORD = "canary-of-relay-7"


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD, users={"app": ("app-canary-8", "+@all ~*")}) as running:
        yield running


@pytest.fixture(scope="module")
def started() -> Iterator[RedisRelays]:
    with redis_relays() as relays:
        yield relays


@pytest.fixture
def relays(started: RedisRelays, server: RedisServer) -> RedisRelays:
    return started.point(server)
