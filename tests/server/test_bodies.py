"""Bodies that no client of ours would send, at a real server: a 4xx Problem each, and the server lives on."""

from __future__ import annotations

import json
import os
import random
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from connvault_jupyter.contracts.operations import OPERATIONS
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest

WRITING = [
    (operation.http.method, operation.http.path.replace("{id}", "c1").replace("{field}", "password"))
    for operation in OPERATIONS
    if operation.http is not None and operation.http.method != "GET"
]
PREFIX = "connvault/api/v1"
MARK = "swordfish-7f3a"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """A server at DEBUG, with a vault that is set up."""
    with serve(tmp_path_factory.mktemp("bodies"), app="server") as found:
        Rest(found).set_up()
        yield found


def mess(generator: random.Random) -> bytes:
    """Random bytes, random JSON, or nearly right JSON."""
    kind = generator.randrange(4)
    if kind == 0:
        return generator.randbytes(generator.randrange(300))
    names = [
        "id",
        "name",
        "provider_id",
        "fields",
        "secrets",
        "value",
        "passphrase",
        "current",
        "new",
        "decision",
    ]
    values: list[Any] = [
        None,
        1,
        -1.5,
        "",
        MARK,
        [],
        {},
        {"password": {"value": MARK}},
        [MARK],
        True,
        "x" * 3000,
    ]
    text = json.dumps({generator.choice(names): generator.choice(values) for _ in range(4)})
    if kind == 1:
        return text[: generator.randrange(len(text) + 1)].encode()
    if kind == 2:
        return json.dumps(generator.choice(values)).encode()
    return text.encode()


def throw(server: JupyterServer, count: int) -> None:
    generator = random.Random(3)  # noqa: S311 -- a repeatable mess, no key
    with requests.Session() as session:
        session.headers["Authorization"] = f"token {server.token}"
        for _ in range(count):
            method, path = generator.choice(WRITING)
            headers = (
                {"If-Match": generator.choice(['"1"', "1", "*", "x"])} if generator.random() < 0.6 else {}
            )
            answer = session.request(
                method, f"{server.url}{PREFIX}{path}", data=mess(generator), headers=headers, timeout=30
            )
            # 423 and 503 are answers too; what must not be is a mistake of ours.
            assert answer.status_code not in (500, 502, 504), answer.text
            assert MARK not in answer.text
            if not answer.ok:
                assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_thousand_malformed_bodies_are_no_server_error(server: JupyterServer) -> None:
    """And nothing of them is in the log, at DEBUG."""
    throw(server, 1000)
    assert Rest(server).call("GET", "connections") is not None
    assert MARK not in server.log()
    assert "Traceback" not in server.log()


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_many_malformed_bodies_are_no_server_error(server: JupyterServer) -> None:
    """As many as `CONNVAULT_FUZZ_EXAMPLES` says."""
    throw(server, int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "100000")))


@pytest.mark.parametrize("size", [(1 << 20) + 1, 3 << 20, 64 << 20])
def test_a_body_over_the_limit_is_413(server: JupyterServer, size: int) -> None:
    """A little over, it is read and dropped; far over, not even that."""
    try:
        answer = server.request("POST", f"{PREFIX}/connections", data=b" " * size)
    except requests.ConnectionError:
        # The server may close before a body of 64 MiB has been sent.
        assert size > 8 << 20
    else:
        assert answer.status_code == 413
        assert answer.json()["code"] == "request_too_large"


def test_a_body_of_unknown_length_is_bounded_too(server: JupyterServer) -> None:
    """Chunked: no Content-Length says how much will come."""
    chunks = (b" " * 65536 for _ in range(40))
    answer = server.request("POST", f"{PREFIX}/connections", data=chunks)
    assert answer.status_code == 413


@pytest.mark.parametrize("length", ["x", "-1", "1e3", "9" * 30])
def test_a_wrong_content_length_is_no_server_error(server: JupyterServer, length: str) -> None:
    """Spoken by hand: no client library sends it."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port), timeout=10) as stream:
        head = f"POST /{PREFIX}/connections HTTP/1.1\r\nHost: {address.netloc}\r\n"
        head += f"Authorization: token {server.token}\r\nContent-Length: {length}\r\n\r\n"
        stream.sendall(head.encode())
        stream.shutdown(socket.SHUT_WR)
        answer = stream.recv(65536)
    assert not answer or answer.split()[1] in (b"400", b"413")
    assert Rest(server).call("GET", "vault")


def test_a_typed_secret_is_not_in_the_log(server: JupyterServer) -> None:
    """It passes through the server and stays nowhere."""
    # The mess may have locked it.
    Rest(server).unlock()
    created = Rest(server).create(
        "kept",
        "postgresql",
        {"host": "localhost", "port": 5432, "database": "d", "user": "u"},
        {"password": MARK},
    )
    path = f"connections/{created['connection']['id']}/secrets/password"
    Rest(server).call("PUT", path, {"value": MARK})
    assert MARK not in server.log()
