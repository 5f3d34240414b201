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
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames
from connvault_jupyter.kernel.broker_client import BrokerClient

from . import relay_contenders
from .relay_contenders import Call, Options

# How often a contender is called in a round: as often as a median needs to stand still, a slow one less often, and the
# two whose budget is two hundredths of each other more often.
BATCH = 200
BATCHES = {
    "keyring": 8,
    "rest": 50,
    **dict.fromkeys(("pg_direct", "pg_handed"), 1000),
    **{f"pg_connect_{how}": 20 for how in ("direct", "handed", "relayed", "bouncer")},
}

_ECHO = """
import socket, sys
stream = socket.socket(fileno=int(sys.argv[1]))
while data := stream.recv(65536):
    stream.sendall(data)
"""


def compare(names: Sequence[str], rounds: int, options: Options) -> dict[str, list[float]]:
    """Calls the contenders by turns, in batches, after a warm-up round. By name: the median of each round, in us."""
    calls = {name: _CONTENDERS[name](options) for name in names}
    medians_us: dict[str, list[float]] = {name: [] for name in names}
    shuffled = random.Random(0)  # noqa: S311 -- an order, and no secret
    for index in range(-1, rounds):
        # Each in any place and after any other, as often: what the one before leaves in the caches favours nobody.
        for name in shuffled.sample(names, len(names)):
            taken = sorted(timed(calls[name], BATCHES.get(name, BATCH)))
            if index >= 0:
                medians_us[name].append(taken[len(taken) // 2] / 1000)
    return medians_us


def steady(name: str, options: Options, *, seconds: float, every_s: float) -> dict[str, float]:
    """One contender alone for `seconds`, a call each `every_s` (0: one after the other): `p50_us` and `p99_us`."""
    call = _CONTENDERS[name](options)
    timed(call, BATCH)
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
    taken.sort()
    return {"p50_us": taken[len(taken) // 2] / 1000, "p99_us": taken[len(taken) * 99 // 100] / 1000}


def timed(call: Call, times: int) -> list[int]:
    """How long each of so many calls took, in ns."""
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
    **relay_contenders.CONTENDERS,
}


if __name__ == "__main__":
    orders = json.load(sys.stdin)
    json.dump(compare(**orders), sys.stdout)
