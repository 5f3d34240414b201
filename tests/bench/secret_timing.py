"""Whether times tell a secret: two secrets by turns on the same path, and what comes back looks like the first one.

The relays run in this process, one thread each, so that nothing but the secret is different. Requests go to a real
broker that has a connection of each secret, from a process that says the first secret as its agent's name.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from connvault_jupyter.relays.downstream import Downstream, Handle, Login, Relay
from connvault_jupyter.relays.http.relay import Relay as HttpRelay
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.redis.relay import Relay as RedisRelay
from tests.support.broker.operator import operated_broker
from tests.support.servers.scripted_upstream import upstream

from .figures import BUDGETS, Figure, Plan
from .interleaved import Call, area, interleaved, told_apart
from .kernel_process import kernel_process

IDS = tuple(figure_id for figure_id in BUDGETS if figure_id.startswith("secret_timing_"))

# Equally long, neither of which can be guessed. The second one looks as if something in it were escaped.
SECRETS = ("qK7fW2mXc9TzR4hLb8VdN3sGy6JpA5uE", "Zt5HnB9x%41kM7+Df2&lt;8aJg4LsU6e")

# The first character of the first secret again and again: a search for it begins anew at each.
_RUN = SECRETS[0][:1].encode() * 16384
_HTTP_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (
    len(_RUN),
    _RUN,
)
_REDIS_ANSWER = b"$%d\r\n%b\r\n" % (len(_RUN), _RUN)

# Of a round. Requests are slower: each is a row, synced to the disk with others.
_PAIRS = 400
_REQUESTS = 100

# Ten microseconds.
_PLANTED_ROUNDS = 800


def measure(plan: Plan) -> Iterator[Figure]:
    rounds = plan.rounds_or(15)
    before = os.sched_getaffinity(0) if hasattr(os, "sched_setaffinity") else None
    if before is not None:
        # Else it is the processors that each thread happens to be on that is seen.
        os.sched_setaffinity(0, {min(before)})
    try:
        yield from _relays(rounds)
    finally:
        if before is not None:
            os.sched_setaffinity(0, before)
    yield _requests(plan, rounds)


def _relays(rounds: int) -> Iterator[Figure]:
    with upstream(_http_service) as port:
        fields = {"base_url": f"http://127.0.0.1:{port}", "auth": "bearer", "allow_http": True}
        ask = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        logins = [Login(fields, {"token": secret}, 1, "r1") for secret in SECRETS]
        areas = [
            _area(HttpRelay, logins, ask, len(_HTTP_ANSWER), turned=number % 2) for number in range(rounds)
        ]
        yield Figure("secret_timing_http", told_apart(areas), 0.5)
        same = [logins[0], logins[0]]
        areas = [
            _area(HttpRelay, same, ask, len(_HTTP_ANSWER), turned=number % 2, planted=True)
            for number in range(rounds)
        ]
        yield Figure("secret_timing_control", told_apart(areas), 0.5)
    with upstream(_redis_service) as port:
        fields = {"host": "127.0.0.1", "port": port, "sslmode": "disable"}
        ask = b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"
        logins = [Login(fields, {"password": secret}, 1, "r1") for secret in SECRETS]
        areas = [
            _area(RedisRelay, logins, ask, len(_REDIS_ANSWER), turned=number % 2) for number in range(rounds)
        ]
        yield Figure("secret_timing_redis", told_apart(areas), 0.5)


def _area(
    relay: Callable[..., Relay],
    logins: Sequence[Login],
    ask: bytes,
    answer_bytes: int,
    *,
    turned: int,
    planted: bool = False,
) -> float:
    """Of one round, with relays of its own; `turned`: the second one is begun first."""
    with ExitStack() as stack:
        calls: dict[int, Call] = {}
        for which in (turned, 1 - turned):
            client = stack.enter_context(_client_of(relay(limits=LIMITS), logins[which]))
            calls[which] = _caller(client, ask, answer_bytes)
        return area(*interleaved(_slower(calls[0]) if planted else calls[0], calls[1], _PAIRS))


def _requests(plan: Plan, rounds: int) -> Figure:
    with operated_broker(plan.home) as (operator, socket_path):
        for name, secret in zip(("one", "other"), SECRETS, strict=True):
            fields = {"base_url": "http://127.0.0.1:1", "auth": "bearer", "allow_http": True}
            operator.create(name, "http", fields, {"token": secret})
        with kernel_process(operator, socket_path, plan.home / "kernel") as kernel:
            areas = [
                area(*kernel.ask("requests", names=["one", "other"], agent=SECRETS[0], pairs=_REQUESTS))
                for _ in range(rounds)
            ]
    return Figure("secret_timing_request", told_apart(areas), 0.5)


def _caller(client: socket.socket, ask: bytes, answer_bytes: int) -> Call:
    def call() -> None:
        client.sendall(ask)
        # As many bytes as the service has said: what the relay changes in these answers keeps their length.
        received = 0
        while received < answer_bytes:
            data = client.recv(65536)
            assert data, "the relay has hung up"
            received += len(data)

    return call


@contextmanager
def _client_of(relay: Relay, login: Login) -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    downstream = Downstream(
        stream=theirs,
        handle=Handle("h", "/nowhere", "t", login.fields),
        over_tcp=False,
        limits=LIMITS,
        ask=lambda _downstream: login,
        hand=lambda _downstream, _descriptor: lambda _given: None,
    )

    def serve() -> None:
        with contextlib.closing(downstream), contextlib.suppress(OSError):
            relay.serve(downstream)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    ours.settimeout(30)
    with ours:
        yield ours
    thread.join(10)
    relay.close()


def _slower(call: Call) -> Call:
    """As a search that begins anew at each character would be."""

    def slow() -> None:
        call()
        sum(range(_PLANTED_ROUNDS))

    return slow


def _http_service(stream: socket.socket) -> None:
    _answers(stream, b"\r\n\r\n", lambda _asked: _HTTP_ANSWER)


def _redis_service(stream: socket.socket) -> None:
    def answer(asked: bytes) -> bytes:
        return _REDIS_ANSWER if b"GET" in asked else b"+OK\r\n+PONG\r\n"

    _answers(stream, b"\r\n", answer)


def _answers(stream: socket.socket, end: bytes, answer: Callable[[bytes], bytes]) -> None:
    """One for each write of the relay's, which are whole."""
    while asked := stream.recv(65536):
        assert asked.endswith(end)
        stream.sendall(answer(asked))
