"""Route x verb x caller over a real Jupyter Server, generated from the table: who may, and what the others are told."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from jupyter_server.base.handlers import APIHandler

from connvault_jupyter.contracts.operation import Operation
from connvault_jupyter.contracts.operations import OPERATIONS, REST_PREFIX
from connvault_jupyter.server import operations
from tests.support.browser.jupyter_server import JupyterServer, StartJupyterServer, serve
from tests.support.browser.rest import Rest
from tests.support.services.examples import example

ROUTED = [operation for operation in OPERATIONS if operation.http is not None]
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PATHS = sorted({operation.http.path for operation in ROUTED if operation.http})
UNKNOWN_VERBS = [
    pytest.param(path, verb, id=f"{verb} {path}")
    for path in [*PATHS, "/openapi.json"]
    for verb in VERBS
    if not any(one.http and (one.http.path, one.http.method) == (path, verb) for one in ROUTED)
    and (path, verb) != ("/openapi.json", "GET")
]

# Denies everything that is ours and allows the rest; read from the server's own folder of Python files.
DENYING = """
from jupyter_server.auth import Authorizer

class Denying(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "connvault"
"""

READING = """
from jupyter_server.auth import Authorizer

class Reading(Authorizer):
    def is_authorized(self, handler, user, action, resource):
        return resource != "connvault" or action == "read"
"""


def name_of(operation: Operation) -> str:
    return operation.name


def address(operation: Operation) -> str:
    assert operation.http is not None
    body = example(operation.request)
    return "connvault/api/v1" + re.sub(r"\{(\w+)\}", lambda match: str(body[match[1]]), operation.http.path)


def send(server: JupyterServer, operation: Operation, **kwargs: Any) -> requests.Response:
    """The operation's example as its request."""
    http = operation.http
    assert http is not None
    body = example(operation.request)
    elsewhere = {*re.findall(r"\{(\w+)\}", http.path), *(["revision"] if http.if_match else [])}
    rest = {key: value for key, value in body.items() if key not in elsewhere}
    headers = {"If-Match": '"1"'} if http.if_match else {}
    headers.update(kwargs.pop("headers", {}))
    if http.method == "GET":
        return server.request(http.method, address(operation), params=rest, headers=headers, **kwargs)
    return server.request(http.method, address(operation), json=rest, headers=headers, **kwargs)


def check_refused(answer: requests.Response) -> None:
    assert answer.status_code == 403
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json()["code"] == "forbidden"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server with the extension and a vault that is set up."""
    with serve(tmp_path_factory.mktemp("routes"), app="server") as found:
        Rest(found).set_up()
        yield found


def with_authorizer(home: Path, name: str, source: str) -> dict[str, Any]:
    (home / "modules").mkdir()
    (home / "modules" / "authorizers.py").write_text(source)
    return {
        "home": home,
        "app": "server",
        "config": {"ServerApp": {"authorizer_class": f"authorizers.{name}"}},
        "env": {"PYTHONPATH": str(home / "modules")},
    }


@pytest.fixture(scope="module")
def denying(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server whose authorizer denies the resource `connvault`."""
    arguments = with_authorizer(tmp_path_factory.mktemp("denying"), "Denying", DENYING)
    with serve(arguments.pop("home"), **arguments) as found:
        yield found


@pytest.mark.parametrize("operation", ROUTED, ids=name_of)
@pytest.mark.parametrize("token", [False, "wrong"])
def test_a_caller_without_the_token_is_refused(
    server: JupyterServer, operation: Operation, token: bool | str
) -> None:
    """No token and a wrong one: the same Problem, and no word of what is there."""
    check_refused(send(server, operation, token=token))


@pytest.mark.parametrize("operation", ROUTED, ids=name_of)
def test_an_unauthorised_caller_is_refused(denying: JupyterServer, operation: Operation) -> None:
    """Known to the server is not enough: its authorizer has a say in every verb."""
    check_refused(send(denying, operation))


@pytest.mark.parametrize(
    "operation",
    [one for one in ROUTED if one.http and one.http.method != "GET"],
    ids=name_of,
)
def test_a_cookie_without_xsrf_token_is_refused(server: JupyterServer, operation: Operation) -> None:
    """Another site can make a browser send the cookie, but not the header."""
    with requests.Session() as browser:
        assert browser.get(server.page_url("api/status"), timeout=30).ok
        assert browser.cookies
        assert operation.http is not None
        url = server.url + address(operation)
        for headers in ({}, {"X-XSRFToken": "wrong"}):
            answer = browser.request(operation.http.method, url, json={}, headers=headers, timeout=30)
            check_refused(answer)


@pytest.mark.parametrize("operation", ROUTED, ids=name_of)
def test_a_caller_who_may_is_answered(server: JupyterServer, operation: Operation) -> None:
    """The example reaches the broker: a success or one of the broker's own Problems, and never cached."""
    answer = send(server, operation)
    assert answer.headers["Cache-Control"] == "no-store"
    assert "ETag" not in answer.headers
    if answer.ok:
        assert operation.http is not None
        assert answer.status_code == operation.http.success
        if answer.status_code == 204:
            assert not answer.content
        else:
            operation.response.model_validate_json(answer.content)
    else:
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.json()["code"] not in (
            "forbidden",
            "invalid_request",
            "internal_error",
            "unknown_operation",
        )


def test_a_cookie_with_its_xsrf_token_may_write(server: JupyterServer) -> None:
    """What JupyterLab does."""
    with requests.Session() as browser:
        browser.get(server.page_url("api/status"), timeout=30)
        browser.get(server.url + "login", timeout=30)
        headers = {"X-XSRFToken": str(browser.cookies["_xsrf"])}
        url = server.url + "connvault/api/v1/connections"
        answer = browser.post(url, json={}, headers=headers, timeout=30)
    assert answer.json()["code"] == "invalid_request"


@pytest.mark.parametrize(("path", "verb"), UNKNOWN_VERBS)
def test_an_unknown_verb_is_a_problem(server: JupyterServer, path: str, verb: str) -> None:
    """405, whatever the body."""
    answer = server.request(verb, "connvault/api/v1" + re.sub(r"\{\w+\}", "x", path), json={})
    assert answer.status_code == 405
    assert answer.json()["code"] == "method_not_allowed"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("path", ["nothing", "connections/a/b/c/d", "connections/a/secrets", "vault/", ""])
def test_an_unknown_address_is_a_problem(server: JupyterServer, path: str, verb: str) -> None:
    """404 for those who may look, 403 for the others."""
    assert server.request(verb, f"connvault/api/v1/{path}", json={}).json()["code"] == "not_found"
    check_refused(server.request(verb, f"connvault/api/v1/{path}", json={}, token=False))


def test_there_is_no_get_for_a_secret(server: JupyterServer) -> None:
    """A stored secret has no way back to the browser."""
    answer = server.request("GET", "connvault/api/v1/connections/c1/secrets/password")
    assert answer.status_code == 405


def test_every_verb_of_every_route_is_decorated() -> None:
    """Walks the handlers: both decorators on the leaf class, none inherited."""
    writing = {
        (
            re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", REST_PREFIX + one.http.path.replace("-", r"\-")),
            one.http.method.lower(),
        )
        for one in ROUTED
        if one.http and one.writes
    }
    routes = [*operations.routes(None), operations.unknown_route()]  # type: ignore[arg-type]
    assert len(routes) == len(PATHS) + 2
    for pattern, leaf, _ in routes:
        own = {verb for verb in map(str.lower, VERBS) if getattr(leaf, verb) is not getattr(APIHandler, verb)}
        assert own, pattern
        assert own <= vars(leaf).keys(), pattern
        for verb in own:
            # web.authenticated around authorized around the verb.
            authorized = vars(leaf)[verb].__wrapped__
            assert authorized.__wrapped__ is not None
            variables = inspect.getclosurevars(authorized).nonlocals
            assert variables["resource"] == "connvault", pattern
            assert variables["action"] == ("write" if (pattern, verb) in writing else "read"), (pattern, verb)


def test_reading_is_not_writing(start_jupyter_server: StartJupyterServer, tmp_path: Path) -> None:
    """An authorizer can let somebody look without letting them decide."""
    server = start_jupyter_server(**with_authorizer(tmp_path, "Reading", READING))
    for operation in ROUTED:
        refused = send(server, operation).status_code == 403
        assert refused == operation.writes, operation.name


def test_openapi_describes_exactly_the_routes(server: JupyterServer) -> None:
    """What is served is what the table says."""
    document = server.request("GET", "connvault/api/v1/openapi.json").json()
    described = {(path, verb.upper()) for path, verbs in document["paths"].items() for verb in verbs}
    assert described == {(one.http.path, one.http.method) for one in ROUTED if one.http}
    assert document["servers"] == [{"url": REST_PREFIX}]
