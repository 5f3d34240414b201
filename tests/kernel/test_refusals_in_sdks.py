"""What people read when a handle has ended or its service is away: in libraries that know nothing of connvault."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import RequesterProcess, requester_process
from tests.support.canary import CANARY
from tests.support.servers.strict_s3 import strict_s3
from tests.support.servers.web_server import web_server

# In the process that has the handles: what a call ends with, and how often it was tried.
_TRY = """
import boto3, elasticsearch, httpx, json, openai, requests

tries = []

def made_openai(handle):
    counted = httpx.Client(event_hooks={"request": [lambda request: tries.append(request.url.path)]})
    return openai.OpenAI(base_url=handle.base_url, api_key=handle.token, http_client=counted)

def made_elasticsearch(handle):
    return elasticsearch.Elasticsearch(handle.base_url, api_key=handle.token)

def made_boto3(handle):
    s3 = boto3.session.Session().client(
        "s3", endpoint_url=handle.base_url, aws_access_key_id=handle.token, aws_secret_access_key=handle.token,
        region_name="eu-central-1",
    )
    s3.meta.events.register("before-send", lambda request, **_: tries.append(request.url) and None)
    return s3

def ends_with(call):
    tries.clear()
    try:
        call()
    except Exception as exc:
        found = {"kind": type(exc).__name__, "text": str(exc), "tries": len(tries)}
        found["before"] = len(getattr(exc, "errors", ()))
        return json.dumps(found)
    return json.dumps({"kind": "", "text": "", "tries": len(tries)})
"""

CALLS = {
    "openai": ("ai", "made_openai(handle)", "client.models.list()"),
    "elasticsearch": ("search", "made_elasticsearch(handle)", "client.info()"),
    "boto3": ("lake", "made_boto3(handle)", "client.list_buckets()"),
}


@dataclass(frozen=True)
class World:
    operator: Operator
    process: RequesterProcess
    ids: dict[str, str]

    def made(self, sdk: str) -> str:
        """A client of a handle, used once as far as its opening; its call."""
        name, client, call = CALLS[sdk]
        self.process.run(f"handle = connection({name!r}, reason='session'); client = {client}")
        return call

    def ends_with(self, call: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.process.run(f"ends_with(lambda: {call})"))
        return found


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        web_server() as server,
        strict_s3() as store,
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
        requester_process(Path(folder), path) as process,
    ):
        store.secret_access_key = CANARY
        fields = {"base_url": server.origin, "allow_http": True}
        token = {"token": CANARY}
        made = [
            operator.create("ai", "openai", {**fields, "base_url": f"{server.origin}/v1"}, token),
            operator.create("search", "elasticsearch", {**fields, "auth": "header"}, token),
            operator.create("lake", "s3", store.fields(), store.secrets()),
        ]
        process.run(_TRY)
        yield World(operator, process, {one["connection"]["name"]: one["connection"]["id"] for one in made})


@pytest.mark.parametrize("sdk", CALLS)
def test_after_a_revoke_the_error_says_why_at_once(world: World, sdk: str) -> None:
    """One try, and the words that lead on; not a connection that is refused for half a minute."""
    call = world.made(sdk)
    world.operator.revoke_all(CALLS[sdk][0])

    def refused() -> dict[str, Any]:
        found = world.ends_with(call)
        # The cut may come while it asks.
        return found if "connection()" in found["text"] else {}

    wait_until(lambda: bool(refused()), deadline_s=20, what="the refusal")
    found = refused()
    assert "This handle has ended" in found["text"]
    assert found["before"] == 0
    assert found["tries"] == (0 if sdk == "elasticsearch" else 1)


@pytest.mark.parametrize("sdk", CALLS)
def test_a_request_that_is_refused_says_why(world: World, sdk: str) -> None:
    """While the handle is good: what the relay does not do is a 4xx with a reason, once."""
    world.made(sdk)
    outside = {
        "openai": "client.with_options(base_url=handle.base_url.removesuffix('/v1')).models.list()",
        "elasticsearch": "client.perform_request('GET', '/%00')",
        "boto3": "client.get_object(Bucket='a', Key='\\0')",
    }[sdk]
    found = world.ends_with(outside)
    assert "base URL" in found["text"] or "control character" in found["text"]
    assert (found["before"], found["tries"]) == (0, 0 if sdk == "elasticsearch" else 1)


def test_a_secret_that_is_missing_is_said_in_each_librarys_place(world: World) -> None:
    """What to do next, and once."""
    for sdk, (name, _, _) in CALLS.items():
        call = world.made(sdk)
        field = {"lake": "secret_access_key"}.get(name, "token")
        world.operator.call("secrets.delete", {"id": world.ids[name], "field": field})
        found = world.ends_with(call)
        assert "Connections panel" in found["text"] or "has ended" in found["text"], sdk
        assert found["before"] == 0
