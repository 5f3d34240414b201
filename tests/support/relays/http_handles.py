"""Handles of real HTTP relays as fixtures, at a server of the test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ..canary import CANARY
from ..servers.web_server import WebServer, web_server
from .http_relay import HttpRelays, RawClient, http_relays

TOKEN = {"token": CANARY}


@pytest.fixture(scope="module")
def running() -> Iterator[HttpRelays]:
    """One zygote and one worker for all tests of this file."""
    with http_relays() as made:
        yield made


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


@pytest.fixture
def relays(running: HttpRelays, server: WebServer) -> HttpRelays:
    """A token for everything below /v1."""
    running.vault.asked.clear()
    return running.point(f"{server.origin}/v1", auth="bearer", secrets=TOKEN)


@pytest.fixture
def client(relays: HttpRelays) -> Iterator[RawClient]:
    with RawClient(relays.endpoint()) as made:
        yield made
