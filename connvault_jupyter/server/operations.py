"""The HTTP API: one handler for every route of the table of operations. It does not interpret operations.

Every verb is authenticated and authorised on its leaf class; XSRF and origin are checked by Jupyter's `APIHandler`.
A secret typed by a person passes through, and is neither kept nor logged. Contracts are imported at the first request,
not while the server starts.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado import web

from ..broker.broker_process import BrokerProcess
from ..contracts.operation import Http, Operation
from ..contracts.operations import REST_PREFIX, routed
from ..errors import BrokerUnavailable, ConnvaultError, InvalidRequest, NotFound, RequestTooLarge
from .requests import MAX_BODY_BYTES, body_of

if TYPE_CHECKING:
    from ..contracts.problem import Problem

RESOURCE = "connvault"

# A body over the limit is still read (and dropped) up to this size, so that its sender gets a response and not a
# reset.
_MAX_DRAINED_BYTES = 8 * MAX_BODY_BYTES

# Longer than any operation takes that does not wait for a person or another server.
_ANSWER_TIMEOUT_S = 30.0
# The OS keyring may prompt the person for up to 120 s.
_WAITING_TIMEOUT_S = 150.0

_VERBS = ("get", "post", "put", "patch", "delete")

Route: TypeAlias = tuple[str, type[APIHandler], dict[str, Any]]

_TITLES = {
    400: "InvalidRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "RequestTooLarge",
}
_CODES = {
    400: "invalid_request",
    401: "forbidden",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "request_too_large",
}
_DETAILS = {
    400: InvalidRequest.default_message,
    401: "Log in to the Jupyter server first.",
    403: "The Jupyter server refused this. Log in again and reload the page.",
    404: NotFound.default_message,
    405: "This address does not support this method. Compare it with openapi.json.",
    413: RequestTooLarge.default_message,
}


@web.stream_request_body
class ProblemHandler(APIHandler):
    """What all handlers here share: body limits during upload, errors as Problems, no caching."""

    def initialize(self) -> None:
        self._content = bytearray()
        self._received = 0

    def set_default_headers(self) -> None:
        super().set_default_headers()
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler itself does
        """Jupyter's checks of host, user, XSRF and origin, before the body is read.

        A refusal is postponed until the body is read, as the response to a half-read request often arrives as a reset.
        It works by dropping the user, so that each verb's own decorator refuses.
        """
        try:
            await super().prepare()
        except web.HTTPError:
            self.current_user = self._jupyter_current_user = None
        if self._announced() > _MAX_DRAINED_BYTES:
            raise web.HTTPError(413)

    def data_received(self, chunk: bytes) -> None:
        self._received += len(chunk)
        if self._received > _MAX_DRAINED_BYTES:
            raise web.HTTPError(413)
        if self._received <= MAX_BODY_BYTES and self.current_user is not None:
            self._content += chunk

    def _announced(self) -> int:
        length = self.request.headers.get("Content-Length", "0")
        if not length.isdecimal() or len(length) > 15:
            raise web.HTTPError(400)
        return int(length)

    def compute_etag(self) -> None:
        """No ETag: it would be a digest of the response, which is never cached."""

    def refuse(self, error: ConnvaultError) -> None:
        """Ends the request with the Problem that describes `error`."""
        from ..contracts.problem import problem_of

        self.problem(problem_of(error))

    def problem(self, problem: Problem) -> None:
        """Ends the request with a Problem."""
        self.set_status(problem.status)
        self.finish(problem.model_dump_json(), set_content_type="application/problem+json")

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ARG002 -- tornado's signature
        """Every error becomes a Problem with a fixed text: an exception's own could quote the input."""
        from ..contracts.problem import Problem

        self.problem(
            Problem(
                title=_TITLES.get(status_code, "Error"),
                status=status_code,
                code=_CODES.get(status_code, "http_error"),
                detail=_DETAILS.get(status_code, ConnvaultError.default_message),
            )
        )


class OperationHandler(ProblemHandler):
    """Forwards to the broker. `routes` adds the verbs to leaf classes."""

    broker: BrokerProcess

    async def perform(self, operation: Operation, http: Http, path: dict[str, str]) -> None:
        try:
            if self._received > MAX_BODY_BYTES:
                raise RequestTooLarge
            body = body_of(
                operation,
                http,
                path=path,
                query=self._query(),
                if_match=self.request.headers.get("If-Match"),
                content=bytes(self._content),
            )
            answer = await self._ask(operation, body)
        except ConnvaultError as exc:
            self.refuse(exc)
            return
        self.set_status(http.success)
        if http.success == 204:
            self.finish()
        else:
            self.finish(json.dumps(answer))

    async def _ask(self, operation: Operation, body: dict[str, Any]) -> dict[str, Any]:
        asked = self.broker.call(operation.name, body, actor=self._actor())
        timeout_s = _WAITING_TIMEOUT_S if operation.waits else _ANSWER_TIMEOUT_S
        try:
            return await asyncio.wait_for(asyncio.wrap_future(asked), timeout_s)
        except asyncio.TimeoutError:
            raise BrokerUnavailable from None

    def _actor(self) -> str:
        """Who decides, for the activity log. With token login it is a new random name for each session without a
        cookie."""
        user = self.current_user
        return str(getattr(user, "display_name", "") or getattr(user, "username", ""))[:200]

    def _query(self) -> dict[str, list[str]]:
        return {
            name: [value.decode(errors="replace") for value in values]
            for name, values in self.request.query_arguments.items()
        }


class OpenApiHandler(ProblemHandler):
    """The document that describes this API."""

    async def _document(self) -> None:
        from . import openapi

        self.finish(json.dumps(openapi.document()))


class UnknownHandler(ProblemHandler):
    """Everything else below the prefix: a Problem instead of the server's error page."""

    async def _not_found(self) -> None:
        self.refuse(NotFound())


def routes(broker: BrokerProcess) -> list[Route]:
    """(pattern below the base URL, leaf class, arguments) of every path of the table."""
    by_path: dict[str, list[tuple[Operation, Http]]] = {}
    for operation, http in routed():
        by_path.setdefault(http.path, []).append((operation, http))
    found: list[Route] = [
        (_pattern(path), _leaf(path, operations, broker), {}) for path, operations in by_path.items()
    ]
    described = {"get": _guarded(OpenApiHandler._document, "read")}
    found.append((_pattern("/openapi.json"), type("OpenApiLeaf", (OpenApiHandler,), described), {}))
    return found


def unknown_route() -> Route:
    """The last route, for everything that no other one matches."""
    verbs = {verb: _guarded(UnknownHandler._not_found, "read") for verb in _VERBS}
    return f"{REST_PREFIX}/.*", type("UnknownLeaf", (UnknownHandler,), verbs), {}


def _leaf(path: str, operations: list[tuple[Operation, Http]], broker: BrokerProcess) -> type[APIHandler]:
    verbs: dict[str, Any] = {"broker": broker}
    for operation, http in operations:
        verbs[http.method.lower()] = _verb(operation, http)
    name = "".join(part.title() for part in re.findall(r"\w+", path))
    return type(f"{name}Leaf", (OperationHandler,), verbs)


def _verb(operation: Operation, http: Http) -> Callable[..., Awaitable[None] | None]:
    async def verb(self: OperationHandler, **path: str) -> None:
        await self.perform(operation, http, path)

    return _guarded(verb, "write" if operation.writes else "read")


def _guarded(verb: Callable[..., Awaitable[None]], action: str) -> Callable[..., Awaitable[None] | None]:
    # With both arguments, as otherwise the decorator remembers those of the first caller.
    allowed: Callable[..., Awaitable[None]] = authorized(action=action, resource=RESOURCE)(verb)
    return web.authenticated(allowed)


def _pattern(path: str) -> str:
    # The contract checks ids; here only a slash matters.
    return REST_PREFIX + re.sub(
        r"\{(\w+)\}", r"(?P<\1>[^/]+)", re.escape(path).replace(r"\{", "{").replace(r"\}", "}")
    )
