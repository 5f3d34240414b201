"""Proxies that the environment names, as in most companies: nothing that is for a handle goes there."""

from __future__ import annotations

import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from connvault_jupyter.kernel.proxies import spare, sparing
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.requester import RequesterProcess
from tests.support.canary import CANARY
from tests.support.servers.strict_s3 import strict_s3
from tests.support.servers.web_server import WebServer, web_server

LOOPBACK = "127.0.0.1,localhost,::1"
PRELUDE = """
import asyncio, os, subprocess, urllib.request
import aiohttp, httpx, openai, requests

def by_curl(*arguments):
    command = ["curl", "-so", "/dev/null", "-w", "%{http_code}", *arguments]
    return int(subprocess.run(command, capture_output=True).stdout)

def by_urllib(url, token):
    with urllib.request.urlopen(urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})) as found:
        return found.status

async def by_aiohttp(url, token):
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as found:
            return found.status
"""
VARIABLES = ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")


@pytest.mark.parametrize(
    ("upper", "lower", "expected"),
    [
        (None, None, (LOOPBACK, LOOPBACK)),
        ("", None, (LOOPBACK, LOOPBACK)),
        ("intra.example", None, (f"intra.example,{LOOPBACK}",) * 2),
        (None, "intra.example, .corp", (f"intra.example,.corp,{LOOPBACK}",) * 2),
        ("a.example", "b.example", (f"a.example,{LOOPBACK}", f"b.example,{LOOPBACK}")),
        ("localhost,a.example", None, ("localhost,a.example,127.0.0.1,::1",) * 2),
        ("*", None, ("*", "*")),
        (LOOPBACK, LOOPBACK, (LOOPBACK, LOOPBACK)),
    ],
)
def test_loopback_joins_what_is_spared_already(
    monkeypatch: pytest.MonkeyPatch, upper: str | None, lower: str | None, expected: tuple[str, str]
) -> None:
    """In either spelling; a star alone stays alone, as in a list it would count for nothing."""
    for name, value in (("NO_PROXY", upper), ("no_proxy", lower)):
        monkeypatch.setenv(name, "")
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    assert tuple(sparing().values()) == expected
    spare()
    assert tuple(sparing().values()) == expected


@dataclass
class Proxy:
    """Takes whatever comes, and serves nobody."""

    address: str
    heads: list[bytes] = field(default_factory=list)


@contextmanager
def capturing_proxy() -> Iterator[Proxy]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Proxy(f"http://127.0.0.1:{listening.getsockname()[1]}")

        def take() -> None:
            while True:
                try:
                    stream, _ = listening.accept()
                except OSError:
                    return
                with stream:
                    found.heads.append(stream.recv(65536))
                    stream.sendall(
                        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                    )

        thread = threading.Thread(target=take)
        thread.start()
        try:
            yield found
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass(frozen=True)
class World:
    process: RequesterProcess
    proxy: Proxy
    server: WebServer


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with (
        capturing_proxy() as proxy,
        web_server() as server,
        strict_s3() as storage,
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder)) as (operator, path),
        Notebooks(operator, home=Path(folder), socket_path=path).open("report.ipynb") as process,
    ):
        fields = {"base_url": server.origin, "allow_http": True, "auth": "bearer"}
        operator.create("api", "http", fields, {"token": CANARY})
        operator.create("lake", "s3", storage.fields(bucket="of-all"), storage.secrets())
        process.run(PRELUDE)
        process.run("api, lake = connection('api'), connection('lake')")
        yield World(process, proxy, server)


@pytest.fixture
def behind(world: World) -> Iterator[World]:
    """The notebook's environment names proxies for everything, and spares a host of the company's."""
    names = dict.fromkeys(VARIABLES, world.proxy.address)
    world.process.run(f"os.environ.update({names!r})")
    world.process.run("os.environ.pop('no_proxy', None); os.environ['NO_PROXY'] = 'intra.example'")
    world.server.requests.clear()
    world.proxy.heads.clear()
    yield world
    world.process.run(
        f"[os.environ.pop(name, None) for name in {(*VARIABLES, 'NO_PROXY', 'no_proxy')!r}] and None"
    )


def test_the_proxy_is_one_that_libraries_use(behind: World) -> None:
    """Else the tests below would prove nothing."""
    for code in (
        "requests.get('http://127.0.0.1:9/x').status_code",
        "httpx.get('http://127.0.0.1:9/x').status_code",
        "by_curl('http://127.0.0.1:9/x')",
    ):
        assert behind.process.run(code) == 502
    assert len(behind.proxy.heads) == 3


@pytest.mark.parametrize(
    "code",
    [
        "api.session().get('/x').status_code",
        "api.client().get('/x').status_code",
        "asyncio.run(api.async_client().get('/x')).status_code",
    ],
)
def test_what_a_handle_opens_goes_past_the_proxy(behind: World, code: str) -> None:
    """Whatever the environment spares."""
    behind.process.run("os.environ['NO_PROXY'] = ''")
    assert behind.process.run(code) == 200
    assert behind.proxy.heads == []
    assert [seen.header("authorization") for seen in behind.server.requests] == [f"Bearer {CANARY}"]


@pytest.mark.parametrize(
    "code",
    [
        "requests.get(api.base_url + '/x', headers={'Authorization': f'Bearer {api.token}'}).status_code",
        "httpx.get(api.base_url + '/x', headers={'Authorization': f'Bearer {api.token}'}).status_code",
        "by_urllib(api.base_url + '/x', api.token)",
        "openai.OpenAI(base_url=api.base_url, api_key=api.token).models.with_raw_response.list().status_code",
        "asyncio.run(by_aiohttp(api.base_url + '/x', api.token))",
        "by_curl(api.base_url + '/x', '-H', f'Authorization: Bearer {api.token}')",
    ],
)
def test_a_library_with_the_handles_address_goes_past_the_proxy(behind: World, code: str) -> None:
    """Also one that starts another program. What was spared before still is."""
    assert behind.process.run(code) == 200
    assert behind.proxy.heads == []
    assert [seen.header("authorization") for seen in behind.server.requests] == [f"Bearer {CANARY}"]
    assert behind.process.run("os.environ['no_proxy']").startswith("intra.example,")


@pytest.mark.parametrize(
    "code",
    [
        "len(lake.client().list_buckets()['Buckets'])",
        "len(list(lake.resource().buckets.all()))",
        "len(lake.filesystem(use_listings_cache=False).ls(''))",
    ],
)
def test_storage_goes_past_the_proxy(behind: World, code: str) -> None:
    """boto3 and s3fs."""
    # The stand-in's buckets are those of all tests of this process.
    assert isinstance(behind.process.run(code), int)
    assert behind.proxy.heads == []


def test_a_program_with_the_handles_variables_goes_past_the_proxy(behind: World) -> None:
    """As the documentation shows it."""
    behind.process.run(
        "done = subprocess.run(['sh', '-c', "
        '\'curl -so /dev/null -w "%{http_code}" -H "Authorization: Bearer $API_TOKEN" $API_BASE_URL/x\'], '
        "env={**os.environ, **api.env()}, capture_output=True, text=True)"
    )
    assert behind.process.run("done.stdout") == "200"
    assert behind.proxy.heads == []
    assert behind.process.run("api.env()['NO_PROXY']") == f"intra.example,{LOOPBACK}"
