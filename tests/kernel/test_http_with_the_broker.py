"""HTTP handles against the real broker: SDKs that know nothing of it, another process, revoking, the record."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess, requester_process
from tests.support.canary import CANARY, found_in
from tests.support.servers.web_server import Seen, WebServer, Wire, web_server

KEY = f"Bearer {CANARY}"
CHAT = {
    "id": "c1", "object": "chat.completion", "created": 1, "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}],
}  # fmt: skip


@dataclass(frozen=True)
class World:
    operator: Operator
    socket_path: str
    process: RequesterProcess
    server: WebServer
    home: Path


def _models(wire: Wire, seen: Seen) -> None:
    """An OpenAI-compatible server that checks the key."""
    body = json.loads(wire.body(seen.head) or b"{}")
    if seen.header("authorization") != KEY:
        wire.answer(b'{"error": {"message": "wrong key"}}', status="401 Unauthorized")
    elif body.get("stream"):
        pieces = [{**CHAT, "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": word}}]}
                  for word in ("hel", "lo")]  # fmt: skip
        events = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        wire.answer(events.encode(), "Content-Type: text/event-stream")
    else:
        wire.answer(json.dumps(CHAT).encode(), "Content-Type: application/json")


def _cluster(wire: Wire, seen: Seen) -> None:
    """An Elasticsearch that checks the key and says that it is one."""
    wire.body(seen.head)
    headers = (
        "X-Elastic-Product: Elasticsearch",
        "Content-Type: application/vnd.elasticsearch+json;compatible-with=9",
    )
    if seen.header("authorization") != f"ApiKey {CANARY}":
        wire.answer(
            b'{"error": {"type": "security_exception"}, "status": 401}', *headers, status="401 Unauthorized"
        )
        return
    found = {
        "hits": {
            "total": {"value": 1, "relation": "eq"},
            "hits": [{"_id": "1", "_source": {"name": "bicycle"}}],
        }
    }
    wire.answer(json.dumps(found).encode(), *headers)


@pytest.fixture(scope="module")
def ruled() -> Iterator[tuple[Operator, str, WebServer]]:
    """A broker with a connection of each kind, and a person who says yes."""
    with (
        web_server() as server,
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder)) as (operator, path),
    ):
        server.rules |= {"/v1/chat/completions": _models, "/things/_search": _cluster}
        fields = {"base_url": server.origin, "allow_http": True}
        operator.create("api", "http", {**fields, "auth": "bearer"}, {"token": CANARY})
        operator.create(
            "ai", "openai", {"base_url": f"{server.origin}/v1", "allow_http": True}, {"token": CANARY}
        )
        operator.create("search", "elasticsearch", {**fields, "auth": "header"}, {"token": CANARY})
        yield operator, path, server


@pytest.fixture
def world(ruled: tuple[Operator, str, WebServer], tmp_path: Path) -> Iterator[World]:
    operator, path, server = ruled
    server.requests.clear()
    with requester_process(tmp_path, path) as process:
        yield World(operator, path, process, server, tmp_path)


def test_openai_talks_to_the_service(world: World) -> None:
    """With the handle's address and token, and with the variables alone; whole answers and streams."""
    run = world.process.run
    run("import openai, os; ai = connection('ai')")
    run("client = openai.OpenAI(base_url=ai.base_url, api_key=ai.token)")
    run("said = [{'role': 'user', 'content': 'hi'}]")
    assert (
        run("client.chat.completions.create(model='m', messages=said).choices[0].message.content") == "hello"
    )
    run("stream = client.chat.completions.create(model='m', messages=said, stream=True)")
    assert run("''.join(piece.choices[0].delta.content for piece in stream)") == "hello"
    run("os.environ.update(ai.env())")
    assert run("openai.OpenAI().chat.completions.create(model='m', messages=said).model") == "m"
    assert {seen.header("authorization") for seen in world.server.requests} == {KEY}
    assert found_in(str(run("repr(vars(client)) + repr(client.api_key)"))) == []


def test_elasticsearch_talks_to_the_service(world: World) -> None:
    """With its API key header."""
    run = world.process.run
    run("import elasticsearch; search = connection('search')")
    run("client = elasticsearch.Elasticsearch(search.base_url, api_key=search.token)")
    assert run("client.search(index='things')['hits']['hits'][0]['_source']['name']") == "bicycle"
    assert {seen.header("authorization") for seen in world.server.requests} == {f"ApiKey {CANARY}"}


def test_another_process_is_refused_on_the_socket_and_on_tcp(world: World, tmp_path: Path) -> None:
    """Even with the token: the broker sees who connects. Nothing is sent."""
    run = world.process.run
    run("api = connection('api')")
    place = {
        "socket": run("api._handle_ref.open().socket"),
        "port": run("api._handle_ref.open(tcp=True).port"),
    }
    token = run("str.__str__(api.token)")
    assert run("api.session().get('/x').status_code") == 200
    world.server.requests.clear()
    (tmp_path / "other").mkdir()
    with requester_process(tmp_path / "other", world.socket_path) as other:
        other.run("import socket")
        other.run(
            "def ask(to):\n    to.sendall(b'GET /x HTTP/1.1\\r\\nHost: a\\r\\nX-Api-Key: "
            + token
            + "\\r\\n\\r\\n')\n"
            "    return to.recv(65536).decode()"
        )
        other.run(f"unix = socket.socket(socket.AF_UNIX); unix.connect({place['socket']!r})")
        other.run(f"inet = socket.create_connection(('127.0.0.1', {place['port']}))")
        for answer in (other.run("ask(unix)"), other.run("ask(inet)")):
            assert answer.startswith("HTTP/1.1 403 ")
            assert "X-Connvault-Error: handle_invalid" in answer
    assert world.server.requests == []
    assert run("api.session().get('/x').status_code") == 200


def test_revoking_is_a_typed_error_at_the_next_request(world: World) -> None:
    """Although session, client and their connections are open."""
    run = world.process.run
    run("api = connection('api'); session = api.session(); client = api.client()")
    assert run("[session.get('/x').status_code, client.get('/x').status_code]") == [200, 200]
    world.operator.revoke_all("api")
    for code in ("session.get('/x')", "client.get('/x')"):

        def refused(code: str = code) -> bool:
            try:
                run(code)
            except Refused as exc:
                # The cut may come between the library's look at its connection and its request.
                return exc.kind == "HandleInvalid"
            return False

        wait_until(refused, deadline_s=20, what="the refusal")


def test_a_use_is_on_record(world: World) -> None:
    """By the relay's login, with the requester who was found out."""

    def uses() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = world.operator.call(
            "audit.list", {"limit": 500, "type": "access:used"}
        )["events"]
        return found

    before = len(uses())
    assert world.process.run("connection('api').session().get('/x').status_code") == 200
    (row,) = uses()[: len(uses()) - before]
    assert (row["connection"], row["mode"], row["requester_kind"]) == ("api", "brokered", "detached")
