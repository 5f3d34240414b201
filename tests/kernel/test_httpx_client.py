"""httpx and other libraries at a handle: the rules of requests' session."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
import requests

from connvault_jupyter import connection
from connvault_jupyter.errors import NotAllowed, VaultLocked
from connvault_jupyter.kernel.masked import MASK
from tests.support.broker.processes import wait_until
from tests.support.relays.http_sessions import BEARER
from tests.support.relays.http_sessions import elsewhere as elsewhere
from tests.support.relays.http_sessions import handles as handles
from tests.support.relays.http_sessions import here as here
from tests.support.relays.http_sessions import http_stage as http_stage
from tests.support.relays.relayed_handles import RelayedHandles
from tests.support.servers.echo_api import EchoApi


def test_any_library_goes_to_the_loopback_address(handles: RelayedHandles, here: EchoApi) -> None:
    """With the handle's token where it would have the service's; without it, nobody."""
    handle = connection("warehouse", kind="http")
    base_url, token = handle.base_url, handle.token
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", base_url)
    assert repr(token) == MASK
    answer = requests.get(f"{base_url}/x", headers={"X-Api-Key": str(token)}, timeout=5)
    assert answer.json() == {"path": "/v1/x"}
    assert here.headers_of("/v1/x")["Authorization"] == BEARER
    assert "X-Api-Key" not in here.headers_of("/v1/x")
    refused = requests.get(f"{base_url}/x", headers={"X-Api-Key": "guessed"}, timeout=5)
    assert refused.status_code == 401
    assert len(here.requests) == 1


def test_httpx_has_the_same_rules(handles: RelayedHandles, here: EchoApi, elsewhere: EchoApi) -> None:
    """Joined to the base, real addresses in what comes back, nothing elsewhere."""
    with connection("warehouse", kind="http").client(headers={"X-Mine": "1"}) as client:
        response = client.get("/x")
        assert response.json() == {"path": "/v1/x"}
        assert str(response.url) == f"{here.origin}/v1/x"
        assert here.headers_of("/v1/x")["Authorization"] == BEARER
        assert here.headers_of("/v1/x")["X-Mine"] == "1"
        for url in (f"{elsewhere.origin}/v1/x", f"{here.origin}/v2", "../admin", "/%2e%2e/admin"):
            with pytest.raises(NotAllowed):
                client.get(url)
        here.redirects["/v1/go"] = f"{elsewhere.origin}/x"
        assert client.get("/go").status_code == 302
        with pytest.raises(NotAllowed):
            client.get("/go", follow_redirects=True)
        handles.refusal = VaultLocked()
        # The login before is shared for up to a second.
        wait_until(lambda: locked(client), deadline_s=20, what="the refusal")
    assert elsewhere.requests == []


def locked(client: httpx.Client) -> bool:
    try:
        client.get("/x")
    except VaultLocked:
        return True
    return False


def test_many_async_httpx_clients_work_at_once(handles: RelayedHandles, here: EchoApi) -> None:
    """Many at once, and a place that is gone is opened again."""

    async def use() -> list[int]:
        async with connection("warehouse", kind="http").async_client() as client:
            first = await asyncio.gather(*(client.get(f"/{n}") for n in range(20)))
            handles.lose()
            again = await client.get("/again")
            return [response.status_code for response in (*first, again)]

    assert asyncio.run(use()) == [200] * 21
    assert len(here.requests) == 21


@pytest.mark.parametrize("name", ["transport", "base_url", "verify", "proxy", "mounts"])
def test_httpx_takes_nothing_that_says_where_to_send(handles: RelayedHandles, name: str) -> None:
    """That is the connection's."""
    with pytest.raises(TypeError, match=name):
        connection("warehouse", kind="http").client(**{name: None})
