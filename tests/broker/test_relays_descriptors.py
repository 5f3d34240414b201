"""Handles come and go by the hundred: nothing of them stays open in any of the three kinds of processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.broker.descriptors import limited
from tests.support.broker.redis_notebooks import RedisNotebooks, redis_notebooks
from tests.support.broker.requester import RequesterProcess

_COME_AND_GO = """
def come_and_go(name, times):
    seen = set()
    for _ in range(times):
        h = connection(name)
        o = h._handle_ref.open(tcp=True)
        seen.add(o.directory)
        by_socket, by_port = live(h), to_port(o.port)
        assert said(by_port, b"AUTH", str(o.token).encode()) == "+OK\\r\\n"
        assert pinged(by_port) == "+PONG\\r\\n"
        # One is closed by the client, the other one is cut.
        by_port.close()
        h.release()
        ended(by_socket)
        by_socket.close()
    return len(seen)
"""


@pytest.fixture
def world() -> Iterator[RedisNotebooks]:
    with redis_notebooks(lambda _: "session") as made:
        yield made


@pytest.fixture
def kernel(world: RedisNotebooks) -> Iterator[RequesterProcess]:
    with world.kernel() as found:
        found.run(_COME_AND_GO)
        yield found


def test_two_hundred_handles_leave_nothing_open(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """In the broker, its zygote and the worker of the connection."""
    name, _ = world.define()
    kernel.run(f"kept = connection({name!r}); s = live(kept)")
    zygote, (worker,) = world.processes()
    with limited(world.operator.broker.pid, zygote, worker):
        assert kernel.run(f"come_and_go({name!r}, 200)") == 200
    assert world.processes() == (zygote, [worker])
    assert kernel.run("pinged(s)") == "+PONG\r\n"
    assert kernel.run("len(os.listdir(os.path.dirname(kept._handle_ref.open().directory)))") == 1


def test_workers_that_come_and_go_leave_nothing_open(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Without a handle that is kept each one has a worker of its own."""
    name, _ = world.define()
    kernel.run(f"come_and_go({name!r}, 1)")
    with limited(world.operator.broker.pid, world.processes()[0]):
        assert kernel.run(f"come_and_go({name!r}, 100)") == 100


def test_the_limit_of_descriptors_would_be_reached(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """The positive control: as many at once are too many."""
    name, _ = world.define()
    kernel.run(f"kept = connection({name!r}); s = live(kept); open_ones = []")
    _, (worker,) = world.processes()
    kernel.run(
        "def many():\n"
        "    for _ in range(100):\n"
        "        one = to_socket(kept._handle_ref.open().socket)\n"
        "        one.settimeout(1)\n"
        "        open_ones.append(one)\n"
        "        if pinged(one) != '+PONG\\r\\n': return 'refused'\n"
    )
    with limited(worker):
        assert kernel.run("many()") == "refused"
