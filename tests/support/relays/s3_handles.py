"""Handles of a strict S3 through the real relay, and the clients that they open."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.kernel.clients.s3.client import Client
from connvault_jupyter.kernel.masked import HandleToken
from connvault_jupyter.kernel.responses import RelayEndpoint
from tests.support.relays.http_relay import HttpRelays, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import lose
from tests.support.servers.strict_s3 import REGION, StrictS3, strict_s3


class ScriptedRef:
    """What a handle may ask: answered by the test in the broker's place, by the real relay's place."""

    connection = "lake"

    def __init__(self, relays: HttpRelays) -> None:
        self._relays = relays
        self.ref = new_ref()
        self.opened = 0
        self.released = False
        self.gave_out = 0
        self.clients: list[Any] = []

    def open_loopback(self) -> tuple[RelayEndpoint, int]:
        if self.ref in self._relays.vault.ended:
            raise HandleInvalid(reason="revoked")
        self.opened += 1
        endpoint = self._relays.endpoint(self.ref, tcp=True)
        assert endpoint.port is not None
        opened = RelayEndpoint(
            connection="lake", provider_id="s3", protocol="http", directory=endpoint.directory, socket=endpoint.socket,
            hand_over=False, port=endpoint.port, token=HandleToken(endpoint.token), fields=self._relays.vault.fields,
            variables={}, revision=1, rotation="r",
        )  # fmt: skip
        return opened, endpoint.port

    def refuse_if_released(self) -> None:
        if self.released:
            raise HandleInvalid(reason="released")

    def give_out(self) -> None:
        self.gave_out += 1

    def opens(self, opened: Any) -> None:
        self.clients.append(opened)

    def revoke(self) -> None:
        self._relays.revoke(self.ref)

    def lose_relay(self) -> None:
        """As if its worker had crashed."""
        lose(self._relays.supervisor)


@pytest.fixture(scope="module")
def server() -> Iterator[StrictS3]:
    with strict_s3() as found:
        yield found


@pytest.fixture(scope="module")
def processes() -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found


@pytest.fixture(autouse=True)
def relays(server: StrictS3, processes: HttpRelays) -> Iterator[HttpRelays]:
    """The server as it was, and its keys in the store; one handle serves most tests."""
    before = vars(server).copy()
    server.seen, server.forms = [], []
    yield point(processes, server)
    vars(server).update(before)


@pytest.fixture(scope="module")
def client(server: StrictS3, processes: HttpRelays) -> Client:
    return Client(handle_ref=ScriptedRef(point(processes, server)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def s3(client: Client) -> Any:
    return client.client(max_pool_connections=50)


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    # moto's buckets are of the whole process.
    name = f"lake-{os.urandom(4).hex()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def handle_ref(relays: HttpRelays) -> Iterator[ScriptedRef]:
    """Of a handle that may end."""
    found = ScriptedRef(relays)
    yield found
    found.revoke()


def closed(error: urllib.error.HTTPError) -> urllib.error.HTTPError:
    error.close()
    return error


def point(relays: HttpRelays, server: StrictS3, **more: Any) -> HttpRelays:
    """At the server, with its keys of now."""
    fields = {**server.fields(), "auth": "sigv4", "service": "s3", **more}
    return relays.point(fields.pop("base_url"), secrets=server.secrets(), **fields)
