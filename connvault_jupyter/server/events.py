"""The events WebSocket, which carries only ids, and the count of open tabs. Pages fetch the rest.

Nothing that a tab sends is used.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from jupyter_core.utils import ensure_async
from jupyter_server.auth.decorator import ws_authenticated
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.base.websocket import WebSocketMixin
from tornado import web
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from ..broker.broker_process import BrokerProcess
from ..contracts.operations import REST_PREFIX
from ..errors import ConnvaultError
from .operations import RESOURCE, Route

if TYPE_CHECKING:
    from ..contracts.events import Event


class Tab(Protocol):
    def send(self, event: Event) -> None: ...


class Tabs:
    """The open tabs. Lives in the server's event loop, except for `publish`, which any thread may call."""

    def __init__(self, *, broker: Callable[[], BrokerProcess], log: logging.Logger) -> None:
        self._broker = broker
        self._log = log
        self._tabs: set[Tab] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run_in(self, loop: asyncio.AbstractEventLoop) -> None:
        """From now on, events are sent through `loop`."""
        self._loop = loop

    def publish(self, event: Event) -> None:
        """Sends an event to all tabs. Before there is a loop, there are no tabs."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._send, event)

    async def add(self, tab: Tab) -> None:
        """Adds the tab and tells it which requests are open, so that a reloaded page shows them again."""
        self._tabs.add(tab)
        self._count()
        try:
            found = await asyncio.wrap_future(self._broker().call("access_requests.list", {}))
        except ConnvaultError:
            return  # The tab is sent `access_request:asked` if there is something to ask.
        from ..contracts.events import Event

        for question in found.get("access_requests", []):
            tab.send(Event(event="access_request:asked", id=question["id"]))

    def remove(self, tab: Tab) -> None:
        if tab in self._tabs:
            self._tabs.discard(tab)
            self._count()

    def _count(self) -> None:
        self._broker().call("supervision.approvers", {"count": len(self._tabs)})

    def _send(self, event: Event) -> None:
        for tab in tuple(self._tabs):
            tab.send(event)


class EventsHandler(WebSocketMixin, WebSocketHandler, JupyterHandler):
    """`GET /connvault/api/v1/events`; the origin is checked as for Jupyter's own sockets."""

    tabs: Tabs

    @ws_authenticated
    async def get(self, *args: Any, **kwargs: Any) -> None:
        allowed = await ensure_async(self.authorizer.is_authorized(self, self.current_user, "read", RESOURCE))
        if not allowed:
            raise web.HTTPError(403)
        await super().get(*args, **kwargs)

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    def open(self, *args: Any, **kwargs: Any) -> Any:
        opened = super().open(*args, **kwargs)
        asyncio.ensure_future(self.tabs.add(self))  # noqa: RUF006 -- the socket itself keeps `add` going
        return opened

    def on_message(self, message: str | bytes) -> None:
        """Messages from tabs are dropped."""

    def on_close(self) -> None:
        self.tabs.remove(self)
        super().on_close()

    def send(self, event: Event) -> None:
        try:
            self.write_message(event.model_dump_json())
        except WebSocketClosedError:
            self.tabs.remove(self)


def route(tabs: Tabs) -> Route:
    """The socket's route."""
    return (
        f"{REST_PREFIX}/events",
        type("EventsLeaf", (EventsHandler,), {"tabs": tabs, "get": EventsHandler.get}),
        {},
    )
