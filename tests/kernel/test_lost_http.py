"""The same for clients of HTTP APIs, by a service that stops in the middle of an answer until its handle has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from connvault_jupyter import connection
from connvault_jupyter.errors import ConnvaultError, HandleInvalid
from connvault_jupyter.kernel import api
from connvault_jupyter.kernel.families import HttpHandle
from tests.support.broker.scripted_broker import ScriptedBroker
from tests.support.relays.relayed_handles import HTTP, RelayedHandles, Stage, stage
from tests.support.servers.web_server import Seen, WebServer, Wire, web_server

REVOKED = HandleInvalid(reason="revoked")


@pytest.fixture(scope="module")
def http_stage() -> Iterator[Stage]:
    with stage(HTTP) as found:
        yield found


@pytest.fixture
def asked() -> Event:
    """The service has been asked for `/slow`, which it never answers."""
    return Event()


@pytest.fixture
def server(asked: Event) -> Iterator[WebServer]:
    with web_server() as found:

        def stall(wire: Wire, _seen: Seen) -> None:
            asked.set()
            wire.stream.recv(1)

        found.rules["/slow"] = stall
        yield found


@pytest.fixture
def handles(scripted_broker: ScriptedBroker, server: WebServer, http_stage: Stage) -> RelayedHandles:
    return http_stage.put(
        scripted_broker, {"base_url": server.origin, "auth": "none", "allow_http": True}, {}
    )


@pytest.fixture
def handle(handles: RelayedHandles) -> HttpHandle:
    return connection("warehouse", kind="http")


def in_aiohttp(address: str) -> None:
    async def get() -> None:
        async with aiohttp.ClientSession() as session:
            (await session.get(address)).raise_for_status()

    asyncio.run(get())


def in_a_coroutine(handle: HttpHandle) -> None:
    async def get() -> None:
        async with handle.async_client() as client:
            await client.get("/slow")

    asyncio.run(get())


CLIENTS: dict[str, Callable[[HttpHandle], object]] = {
    "session": lambda handle: handle.session().get("/slow"),
    "client": lambda handle: handle.client(timeout=20).get("/slow"),
    "async_client": in_a_coroutine,
}


def lost(use: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 -- whatever this library raises
        use()
    assert not isinstance(caught.value, ConnvaultError), "the library itself does not know why"
    return caught.value


def why(error: BaseException) -> list[str]:
    return [str(one.details["reason"]) for one in api.ended(error)]


@pytest.mark.parametrize("get", CLIENTS.values(), ids=CLIENTS)
def test_a_request_that_was_under_way(
    handles: RelayedHandles, handle: HttpHandle, asked: Event, get: Callable[[HttpHandle], object]
) -> None:
    """The client only sees that the other end has gone."""

    def end() -> None:
        asked.wait(20)
        handles.revoke(REVOKED)

    ending = Thread(target=end)
    ending.start()
    error = lost(lambda: get(handle))
    ending.join()
    assert why(error) == ["revoked"]


ELSEWHERE: dict[str, Callable[[str], object]] = {
    "requests": lambda address: requests.get(address, timeout=20).raise_for_status(),
    "httpx": lambda address: httpx.get(address, timeout=20).raise_for_status(),
    "aiohttp": in_aiohttp,
}


@pytest.mark.parametrize("get", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_library_that_has_the_address(
    handles: RelayedHandles, handle: HttpHandle, get: Callable[[str], object]
) -> None:
    """Its port tells that it has ended; the library names the port."""
    address = handle.base_url
    handles.revoke(REVOKED)
    assert why(lost(lambda: get(address))) == ["revoked"]


@pytest.mark.parametrize("get", ELSEWHERE.values(), ids=ELSEWHERE)
def test_an_error_at_another_address_is_put_down_to_no_handle(
    handles: RelayedHandles, handle: HttpHandle, get: Callable[[str], object]
) -> None:
    """On the same machine, right after a revoke."""
    handle.base_url  # noqa: B018 -- gives it out
    handles.revoke(REVOKED)
    assert why(lost(lambda: get("http://127.0.0.1:1/"))) == []


def test_a_redirect_that_fails_elsewhere_is_nobodys(
    handles: RelayedHandles, handle: HttpHandle, server: WebServer
) -> None:
    """The session asked another service by itself."""
    server.rules["/away"] = lambda wire, _seen: wire.answer(
        b"", "Location: http://127.0.0.1:1/", status="302 Found"
    )
    session: Any = handle.session()

    def get() -> None:
        try:
            session.get("/away")
        finally:
            handles.revoke(REVOKED)

    assert why(lost(get)) == []
