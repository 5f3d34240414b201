"""Through a handle to a service that sends back what it is told: reading the credential off what is masked and when.

The service is honest and echoes; the attacker chooses what it says, and looks at what comes back, when, and in what
pieces. Nobody can guess the whole credential (`services.guessability`), so everything that is tried here is less.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import websockets.sync.client
import websockets.sync.server

from connvault_jupyter.relays.http.bodies import Chunked
from tests.support.broker.processes import wait_until
from tests.support.relays.http_relay import HttpRelays, RawClient, http_relays
from tests.support.relays.redis_relay import Raw, RedisRelays, redis_relays
from tests.support.servers.redis_server import RedisServer, redis_server
from tests.support.servers.web_server import Seen, WebServer, Wire, web_server

# Like many: what it begins with is known.
TOKEN = "ssp_vKq7Rz2mXw9TbL4nYc6JdH8fGa3"
PASSWORD = "s7Qp-vKq7Rz2mXw9TbL4nYc6"
WAIT_S = 10.0


@pytest.fixture(scope="module")
def relays() -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as made:
        yield made


@contextmanager
def talking(relays: HttpRelays) -> Iterator[websockets.sync.client.ClientConnection]:
    """A WebSocket to a server that sends each message back."""

    def echo(socket_: websockets.sync.server.ServerConnection) -> None:
        for message in socket_:
            socket_.send(message)

    with websockets.sync.server.serve(echo, "127.0.0.1", 0) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        try:
            port = upstream.socket.getsockname()[1]
            relays.point(f"http://127.0.0.1:{port}/v1", auth="bearer", secrets={"token": TOKEN})
            with websockets.sync.client.unix_connect(relays.endpoint().socket, uri="ws://any/v1/ws") as made:
                yield made
        finally:
            upstream.shutdown()
            thread.join()


def test_no_websocket_message_waits_for_what_it_ends_with(relays: HttpRelays) -> None:
    """Each beginning of the token, alone and after something else, comes back at once and as it is; so does a word."""
    with talking(relays) as made:
        for message in (*(TOKEN[:end] for end in range(1, len(TOKEN))), "yes", "music", "", "x" + TOKEN[:5]):
            made.send(message)
            assert made.recv(WAIT_S) == message
        made.send(TOKEN)
        assert made.recv(WAIT_S) == "*" * len(TOKEN)


def test_no_websocket_message_waits_in_base64(relays: HttpRelays) -> None:
    """The same with what the token begins with in Base64."""
    encoded = base64.b64encode(TOKEN.encode())
    with talking(relays) as made:
        for end in range(1, len(encoded) - 4):
            made.send(encoded[:end])
            assert made.recv(WAIT_S) == encoded[:end]


@pytest.mark.parametrize("kind", ["text/event-stream", "text/plain", "application/octet-stream"])
@pytest.mark.parametrize("end", [1, 4, len(TOKEN) - 1])
def test_a_stream_gives_all_that_was_sent_whatever_it_ends_with(
    relays: HttpRelays, server: WebServer, kind: str, end: int
) -> None:
    """It does not wait for what would show that it is no token after all: the server says no more until it came."""
    seen = threading.Event()
    content = b"data: " + TOKEN[:end].encode()

    def rule(wire: Wire, _seen: Seen) -> bool:
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\n\r\n".encode() + content)
        assert seen.wait(WAIT_S)
        return False

    server.rules["/v1/x"] = rule
    relays.point(server.origin + "/v1", auth="bearer", secrets={"token": TOKEN})
    with RawClient(relays.endpoint()) as client:
        client.get("/v1/x")
        client.head()
        body = Chunked()
        found = body.feed(client.read) if client.read else b""
        while found != content:
            found += body.feed(client.stream.recv(65536))
        seen.set()


@pytest.mark.parametrize("word", [TOKEN[:-1], TOKEN[1:], "aaaaaaaa", "ssssssss"])
def test_what_is_less_than_the_token_comes_as_it_is(relays: HttpRelays, server: WebServer, word: str) -> None:
    """And nothing says that it was nearly one."""
    server.rules["/v1/x"] = lambda wire, seen: wire.answer(word.encode(), "X-Word: " + word)
    relays.point(server.origin + "/v1", auth="bearer", secrets={"token": TOKEN})
    with RawClient(relays.endpoint()) as client:
        answer = client.get("/v1/x").answer()
    assert answer.body == word.encode()
    assert answer.header("X-Word") == word
    assert answer.header("X-Connvault-Masked") == ""


def test_that_something_is_masked_stands_in_the_head(relays: HttpRelays, server: WebServer) -> None:
    """Where the whole answer is there first, also in two writes; and a server can't say so itself."""

    def rule(wire: Wire, _seen: Seen) -> None:
        wire.send(b"HTTP/1.1 200 OK\r\nX-Connvault-Masked: 1\r\nContent-Length: %d\r\n\r\n" % len(TOKEN))
        wire.send(TOKEN.encode())

    server.rules["/v1/x"] = rule
    server.rules["/v1/y"] = lambda wire, _seen: wire.answer(b"nothing", "X-Connvault-Masked: 1")
    relays.point(server.origin + "/v1", auth="bearer", secrets={"token": TOKEN})
    with RawClient(relays.endpoint()) as client:
        answer = client.get("/v1/x").answer()
        assert answer.body == b"*" * len(TOKEN)
        assert answer.header("X-Connvault-Masked") == "1"
        assert client.get("/v1/y").answer().header("X-Connvault-Masked") == ""


@pytest.mark.parametrize("secret", ["redis", "hunter2hunter2", "correcthorsebattery", "Passw0rd!Passw0rd!"])
def test_a_guess_is_not_confirmed(relays: HttpRelays, server: WebServer, secret: str) -> None:
    """What could be guessed comes back as anything else does."""
    server.rules["/v1/x"] = lambda wire, seen: wire.answer((seen.header("authorization") or "").encode())
    relays.point(server.origin + "/v1", auth="bearer", secrets={"token": secret})
    with RawClient(relays.endpoint()) as client:
        assert client.get("/v1/x").answer().body == f"Bearer {secret}".encode()


def test_a_user_name_is_no_secret(relays: HttpRelays, server: WebServer) -> None:
    """Of a Basic login the password is masked, and the pair as it was sent."""
    server.rules["/v1/x"] = lambda wire, seen: wire.answer(
        f"{seen.header('authorization')} someone@example.com {PASSWORD}".encode()
    )
    relays.point(
        server.origin + "/v1", auth="basic", username="someone@example.com", secrets={"password": PASSWORD}
    )
    pair = base64.b64encode(f"someone@example.com:{PASSWORD}".encode())
    with RawClient(relays.endpoint()) as client:
        assert client.get("/v1/x").answer().body == (
            b"Basic " + b"*" * len(pair) + b" someone@example.com " + b"*" * len(PASSWORD)
        )


def test_an_object_with_the_s3_key_in_it_comes_as_it_is(relays: HttpRelays, server: WebServer) -> None:
    """The key signs and is never sent, so no service can send it back: what is masked would only tell it."""
    key = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYzK4qT8vLm2"
    server.rules["/b/k"] = lambda wire, _seen: wire.answer(key.encode(), "X-Amz-Meta-Key: " + key)
    relays.point(
        server.origin,
        auth="sigv4",
        access_key_id="AKIAVOGELHAUS7EXAMPLE",
        region="eu-central-1",
        secrets={"secret_access_key": key},
    )
    with RawClient(relays.endpoint()) as client:
        answer = client.get("/b/k").answer()
    assert answer.body == key.encode()
    assert answer.header("X-Amz-Meta-Key") == key


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server(password=PASSWORD) as running:
        yield running


@pytest.fixture(scope="module")
def redis_relay(redis: RedisServer) -> Iterator[RedisRelays]:
    with redis_relays() as started:
        yield started.point(redis)


@pytest.mark.parametrize("end", [1, 4, len(PASSWORD) - 1, len(PASSWORD)])
def test_a_redis_value_comes_back_as_it_was_stored(redis_relay: RedisRelays, end: int) -> None:
    """By every way to store and read one, in both protocols: a value that is read, changed and written back stays."""
    value = PASSWORD[:end]
    for protocol in (2, 3):
        with redis_relay.client(protocol=protocol) as client:
            client.set("k", value)
            assert client.get("k") == value.encode()
            assert client.echo(value) == value.encode()
            assert client.eval("return redis.call('GET', KEYS[1])", 1, "k") == value.encode()
            with client.pipeline(transaction=True) as pipe:
                assert pipe.get("k").append("k", "!").get("k").execute()[2] == value.encode() + b"!"
            client.xadd("x", {"f": value})
            assert client.xrange("x")[-1][1] == {b"f": value.encode()}
            with client.pubsub() as heard:
                heard.subscribe("c")
                assert heard.get_message(timeout=WAIT_S) is not None
                client.publish("c", value)
                message = heard.get_message(timeout=WAIT_S)
                assert message is not None
                assert message["data"] == value.encode()


def test_a_redis_answer_in_two_writes_does_not_wait(redis_relay: RedisRelays) -> None:
    """What ends with the password's first characters is all there before anything else is asked."""
    with Raw(redis_relay.endpoint()) as raw:
        for end in range(1, len(PASSWORD)):
            value = PASSWORD[:end].encode()
            raw.send(b"*2\r\n$4\r\nECHO\r\n$%d\r\n%b\r\n" % (len(value), value))
            assert [raw.line(), raw.line()] == [b"$%d" % len(value), value]


def test_a_server_that_talks_past_http_is_not_waited_for_either(relays: HttpRelays) -> None:
    """After an upgrade to whatever: the beginning of the token passes when its time is up."""
    with web_server() as made:

        def rule(wire: Wire, _seen: Seen) -> bool:
            wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: talk\r\n\r\n")
            while data := wire.stream.recv(4096):
                wire.send(data)
            return False

        made.rules["/v1/x"] = rule
        relays.point(made.origin + "/v1", auth="bearer", secrets={"token": TOKEN})
        with RawClient(relays.endpoint()) as client:
            client.get("/v1/x", "Connection: Upgrade", "Upgrade: talk")
            assert client.head().status == 101
            for word in (TOKEN[:4], TOKEN[:-1], "anything"):
                client.send(word.encode())
                while len(client.read) < len(word):
                    client.read += client.stream.recv(4096)
                assert client.read == word.encode()
                client.read = b""
            client.send(TOKEN.encode())
            while len(client.read) < len(TOKEN):
                client.read += client.stream.recv(4096)
            assert client.read == b"*" * len(TOKEN)


def test_the_broker_is_told_and_nobody_else(relays: HttpRelays) -> None:
    """An alarm for the operator: once, however often it happens; the requester's traffic is the same."""
    with talking(relays) as made:
        before = len(relays.vault.sighted)
        for _ in range(3):
            made.send(TOKEN)
            made.recv(WAIT_S)
            made.send(TOKEN[:-1])
            assert made.recv(WAIT_S) == TOKEN[:-1]
    wait_until(lambda: len(relays.vault.sighted) > before, deadline_s=WAIT_S, what="the alarm")
    assert len(relays.vault.sighted) == before + 1
