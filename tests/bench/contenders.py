"""What is timed against what, and the loop that does it, in the process that asks: a child's or a kernel's own.

Light on purpose (standard library and the kernel side alone): it is what runs beside the timed calls.
`python -m tests.bench.contenders` reads its orders as JSON on stdin, because a token may be in them, and prints JSON.
"""

from __future__ import annotations

import gc
import http.client
import json
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames
from connvault_jupyter.kernel.client import BrokerClient

Call = Callable[[], object]
Options = Mapping[str, Any]

# A slow contender is called less often in a round; the others as often as a median needs to stand still.
BATCHES = {"keyring": 8, "rest": 50, **dict.fromkeys(("pg_connect_direct", "pg_connect_handed"), 20)}
BATCHES |= dict.fromkeys(("pg_connect_relayed", "pg_connect_bouncer"), 20)
BATCHES |= dict.fromkeys(("pg_direct", "pg_handed"), 1000)
BATCH = 200

_ECHO = """
import socket, sys
stream = socket.socket(fileno=int(sys.argv[1]))
while data := stream.recv(65536):
    stream.sendall(data)
"""


def compare(names: Sequence[str], rounds: int, options: Options) -> dict[str, dict[str, Any]]:
    """Calls the contenders by turns (A B A B ...), in batches, after a warm-up round.

    By name: `medians_us` of each round, and over all calls `p99_us` and how many `calls` there were.
    """
    calls = {name: _maker(name)(options) for name in names}
    samples: dict[str, list[list[int]]] = {name: [] for name in names}
    shuffled = random.Random(0)  # noqa: S311 -- an order, and no secret
    for index in range(-1, rounds):
        # Each in any place and after any other, as often: what the one before leaves in the caches favours nobody.
        for name in shuffled.sample(names, len(names)):
            taken = _timed(calls[name], BATCHES.get(name, BATCH))
            if index >= 0:
                samples[name].append(taken)
    return {name: _summary(batches) for name, batches in samples.items()}


def steady(name: str, options: Options, *, seconds: float, every_s: float) -> dict[str, Any]:
    """One contender alone for `seconds`, a call each `every_s` (0: one after the other). As `compare`'s summary."""
    call = _maker(name)(options)
    _timed(call, BATCH)
    taken: list[int] = []
    clock = time.perf_counter_ns
    gc.disable()
    begin = time.monotonic()
    due = begin
    while (now := time.monotonic()) < begin + seconds:
        if every_s and now < due:
            time.sleep(due - now)
        due += every_s
        before = clock()
        call()
        taken.append(clock() - before)
    gc.enable()
    return _summary([taken])


def _maker(name: str) -> Callable[[Options], Call]:
    if name in _CONTENDERS:
        return _CONTENDERS[name]
    from tests.bench.relay_contenders import CONTENDERS

    return CONTENDERS[name]


def _timed(call: Call, times: int) -> list[int]:
    clock = time.perf_counter_ns
    taken = [0] * times
    gc.collect()
    gc.disable()
    for index in range(times):
        before = clock()
        call()
        taken[index] = clock() - before
    gc.enable()
    return taken


def _summary(batches: Sequence[Sequence[int]]) -> dict[str, Any]:
    every = sorted(taken for batch in batches for taken in batch)
    return {
        "medians_us": [sorted(batch)[len(batch) // 2] / 1000 for batch in batches],
        "p99_us": every[min(len(every) - 1, len(every) * 99 // 100)] / 1000,
        "max_us": every[-1] / 1000,
        "calls": len(every),
    }


def _client(options: Options) -> BrokerClient:
    path = options.get("socket") or os.environ[frames.SOCKET_VARIABLE]
    return BrokerClient(locate=lambda: path)


def _ref(client: BrokerClient, options: Options) -> str:
    """A handle, for which a person (or the rule in their place) is asked once."""
    body = {"connection": options["connection"], "reason": None, "agent": None, "timeout_s": 30}
    return str(client.ask("access.request", body, timeout_s=40)["ref"])


def _deliver(options: Options) -> Call:
    client = _client(options)
    body = {"ref": _ref(client, options)}
    return lambda: client.ask("access.deliver", body)


def _check(options: Options) -> Call:
    client = _client(options)
    body = {"ref": _ref(client, options)}
    return lambda: client.ask("access.check", body)


def _wire(options: Options) -> Call:
    ref = _ref(_client(options), options)
    call = _framed(options, {"op": "access.deliver", "body": {"ref": ref}})
    answer: Any = call()
    assert answer["ok"], answer
    return call


def _noop(options: Options) -> Call:
    """Framing, threads and dispatch without a service: refused as unknown."""
    return _framed(options, {"op": "bench.none", "body": {}})


def _framed(options: Options, request: dict[str, Any]) -> Call:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    stream.connect(options.get("socket") or os.environ[frames.SOCKET_VARIABLE])
    frames.send(stream, {"protocol": frames.PROTOCOL, "version": __version__})
    frames.receive(stream)

    def call() -> object:
        frames.send(stream, request)
        return frames.receive(stream)

    return call


def _socketpair(options: Options) -> Call:
    """A raw round trip to another Python process that echoes as many bytes as a deliver's request has."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    # It ends with our end of the pair, that is with this process.
    subprocess.Popen([sys.executable, "-S", "-c", _ECHO, str(theirs.fileno())], pass_fds=[theirs.fileno()])
    theirs.close()
    message = frames.encode({"op": "access.deliver", "body": {"ref": "r" * 43}})

    def call() -> object:
        ours.sendall(message)
        return ours.recv(65536)

    call()
    return call


def _keyring(options: Options) -> Call:
    """An item of the Secret Service of this process's D-Bus session."""
    import keyring
    from keyring.backends import SecretService

    # Without the search through other backends that the default makes at each call: the cheapest of its kind.
    keyring.set_keyring(SecretService.Keyring())  # type: ignore[no-untyped-call]
    keyring.set_password("connvault-bench", "reader", "a made-up password")
    assert keyring.get_password("connvault-bench", "reader") == "a made-up password"
    return lambda: keyring.get_password("connvault-bench", "reader")


def _rest(options: Options) -> Call:
    """The cheapest authenticated call of the REST door, on a connection that stays open."""
    address = urlsplit(options["url"])
    connection = http.client.HTTPConnection(str(address.hostname), address.port or 80)
    headers = {"Authorization": f"token {options['token']}"}

    def call() -> object:
        connection.request("GET", "/connvault/api/v1/vault", headers=headers)
        response = connection.getresponse()
        body = response.read()
        assert response.status == 200, response.status
        return body

    return call


_CONTENDERS: dict[str, Callable[[Options], Call]] = {
    "deliver": _deliver,
    "check": _check,
    "wire": _wire,
    "noop": _noop,
    "socketpair": _socketpair,
    "keyring": _keyring,
    "rest": _rest,
}


if __name__ == "__main__":
    orders = json.load(sys.stdin)
    json.dump(compare(**orders), sys.stdout)
