"""The events socket of a real server: for those who may, ids only, and replayed to a tab that comes later."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import requests
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from connvault_jupyter.contracts.events import Event
from tests.server.test_routes import DENYING, with_authorizer
from tests.support.broker.raw_requester import RawRequester
from tests.support.browser.jupyter_server import JupyterServer, StartJupyterServer, serve
from tests.support.browser.rest import Rest

DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server with a vault."""
    with serve(tmp_path_factory.mktemp("events"), app="server") as found:
        Rest(found).set_up()
        yield found


def request(server: JupyterServer, *, token: str | None = None, origin: str | None = None) -> HTTPRequest:
    headers = {"Authorization": f"token {server.token if token is None else token}"}
    if origin is not None:
        headers["Origin"] = origin
    return HTTPRequest(server.url.replace("http", "ws", 1) + "connvault/api/v1/events", headers=headers)


def log_in(server: JupyterServer) -> str:
    """The cookies that a browser gets with the token's address."""
    with requests.Session() as browser:
        browser.get(server.page_url("api/status"), timeout=30)
        return "; ".join(f"{cookie.name}={cookie.value}" for cookie in browser.cookies)


@asynccontextmanager
async def tab(server: JupyterServer) -> AsyncIterator[WebSocketClientConnection]:
    connection = await websocket_connect(request(server))
    try:
        yield connection
    finally:
        await hang_up(connection)


async def hang_up(connection: WebSocketClientConnection) -> None:
    """Closes, and waits until the other end has."""
    connection.close()
    while await asyncio.wait_for(connection.read_message(), DEADLINE_S) is not None:
        pass


async def next_event(connection: WebSocketClientConnection, kind: str) -> Event:
    """The next one of this kind; others (the record grows) are passed over."""
    while True:
        message = await asyncio.wait_for(connection.read_message(), DEADLINE_S)
        assert isinstance(message, str), "the socket was closed"
        event = Event.model_validate_json(message)
        if event.event == kind:
            return event


def socket_path(server: JupyterServer) -> str:
    return str(next(server.runtime_dir.glob("connvault-*/s")))


@pytest.fixture
def question(server: JupyterServer) -> Iterator[threading.Thread]:
    """This process asks for a connection of its own (after a no there is a pause), and withdraws at the end."""
    fields = {"host": "localhost", "port": 5432, "database": "d", "user": "u"}
    name = f"c{secrets.token_hex(4)}"
    Rest(server).create(name, "postgresql", fields, {"password": "a-password"})
    asker = RawRequester(socket_path(server))
    asker.hello()

    def ask() -> None:
        with suppress(OSError, AssertionError):
            asker.ask("access.request", {"connection": name})

    thread = threading.Thread(target=ask)
    yield thread
    with suppress(OSError):
        asker.stream.shutdown(2)
    if thread.ident is not None:
        thread.join()
    asker.close()


def open_questions(server: JupyterServer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Rest(server).call("GET", "access-requests")["access_requests"]
    return found


async def test_a_question_is_pushed_and_its_end_too(
    server: JupyterServer, question: threading.Thread
) -> None:
    """A tab need not ask again and again."""
    async with tab(server) as connection:
        question.start()
        asked = await next_event(connection, "access_request:asked")
        pending = await asyncio.to_thread(open_questions, server)
        assert asked.id == pending[0]["id"]
        decision = {"decision": "deny", "digest": pending[0]["digest"]}
        await asyncio.to_thread(Rest(server).call, "POST", f"access-requests/{asked.id}/decision", decision)
        assert (await next_event(connection, "access_request:resolved")).id == asked.id


async def test_a_pushed_event_holds_an_id_and_nothing_else(server: JupyterServer) -> None:
    """Whoever may fetch the rest fetches it."""
    async with tab(server) as connection:
        await asyncio.to_thread(Rest(server).call, "POST", "vault/lock", {})
        while True:
            message = await asyncio.wait_for(connection.read_message(), DEADLINE_S)
            assert isinstance(message, str)
            assert set(json.loads(message)) == {"event", "id"}
            if "vault:changed" in message:
                break
        await asyncio.to_thread(Rest(server).unlock)


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_a_tab_without_the_token_is_refused(server: JupyterServer, token: str) -> None:
    """As every other route."""
    with pytest.raises(HTTPClientError) as found:
        await websocket_connect(request(server, token=token))
    assert found.value.code == 403


async def test_a_page_of_another_origin_is_refused(server: JupyterServer) -> None:
    """A browser opens sockets to anywhere and sends its cookies along."""
    cookies = await asyncio.to_thread(log_in, server)
    address = request(server).url
    headers = {"Cookie": cookies, "Origin": server.url.rstrip("/")}
    connection = await websocket_connect(HTTPRequest(address, headers=headers))
    await hang_up(connection)
    stranger = HTTPRequest(address, headers={**headers, "Origin": "http://evil.example"})
    with pytest.raises(HTTPClientError) as found:
        await websocket_connect(stranger)
    assert found.value.code in (403, 404)


async def test_an_unauthorised_tab_is_refused(
    start_jupyter_server: StartJupyterServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The authorizer has a say here too."""
    arguments = with_authorizer(tmp_path_factory.mktemp("denied"), "Denying", DENYING)
    server = await asyncio.to_thread(lambda: start_jupyter_server(**arguments))
    with pytest.raises(HTTPClientError) as found:
        await websocket_connect(request(server))
    assert found.value.code == 403


async def test_what_a_tab_says_is_dropped(server: JupyterServer) -> None:
    """It is a push channel."""
    async with tab(server) as connection:
        await connection.write_message('{"event":"vault:changed","id":null}')
        await connection.write_message(b"\x00\xff", binary=True)
        connection.ping(b"x")
        assert await asyncio.to_thread(Rest(server).call, "GET", "vault")


async def test_a_tab_that_comes_later_is_told_what_is_open(
    server: JupyterServer, question: threading.Thread
) -> None:
    """A reload while the dialog is up brings it back."""
    async with tab(server) as first:
        question.start()
        asked = await next_event(first, "access_request:asked")
        async with tab(server) as second:
            assert (await next_event(second, "access_request:asked")).id == asked.id


async def test_a_question_without_any_tab_is_given_up(
    server: JupyterServer, question: threading.Thread
) -> None:
    """Nobody could answer it: the requester is told so and does not wait for a minute."""
    question.start()
    await asyncio.wait_for(asyncio.to_thread(question.join), DEADLINE_S)
    events = (await asyncio.to_thread(Rest(server).call, "GET", "audit?limit=5"))["events"]
    assert "no_approver" in [event["code"] for event in events]
