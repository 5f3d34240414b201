"""A worker that is stuck, and a worker, zygote or broker that is killed: nobody else waits, and the next use works."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest

from tests.support.broker.broker_of import runs
from tests.support.broker.cut_sessions import CUT_S, DEADLINE_S
from tests.support.broker.cut_sessions import kernel as kernel
from tests.support.broker.cut_sessions import world as world
from tests.support.broker.processes import wait_until
from tests.support.broker.redis_notebooks import RedisNotebooks, now, since
from tests.support.broker.requester import RequesterProcess
from tests.support.browser.rest import PASSPHRASE

_log = logging.getLogger(__name__)


def workers_since(world: RedisNotebooks, before: list[int]) -> list[int]:
    return [pid for pid in world.processes()[1] if pid not in before]


@pytest.fixture
def stuck(world: RedisNotebooks, kernel: RequesterProcess) -> Iterator[int]:
    """The worker of the kernel's handle `h`, with `s` open; stopped. Another one of `c`, with `x` open, goes on."""
    name, _ = world.define()
    other, _ = world.define()
    kernel.run(f"c = connection({other!r}); x = live(c)")
    before = world.processes()[1]
    kernel.run(f"h = connection({name!r}); s = live(h)")
    (worker,) = workers_since(world, before)
    os.kill(worker, signal.SIGSTOP)
    yield worker
    if runs(worker):
        os.kill(worker, signal.SIGKILL)


def test_a_stuck_worker_holds_up_nobody_else(
    world: RedisNotebooks, kernel: RequesterProcess, stuck: int
) -> None:
    """Neither consent nor other handles, of the same notebook or of others."""
    name, _ = world.define()
    began = now()
    with world.kernel("other.ipynb") as other:
        other.run(f"h = connection({name!r}); s = live(h)")
        assert other.run("pinged(s)") == "+PONG\r\n"
    assert kernel.run("pinged(x)") == "+PONG\r\n"
    assert kernel.run(f"pinged(live(connection({name!r})))") == "+PONG\r\n"
    world.operator.call("audit.list")
    assert since(began, now()) < DEADLINE_S / 2


def test_a_stuck_worker_is_ended_by_a_cut(
    world: RedisNotebooks, kernel: RequesterProcess, stuck: int
) -> None:
    """It can't do it itself any more; others are cut in time all the same, and the next handle has a new worker."""
    kernel.run("t = []; w = [threading.Thread(target=lambda s=s: t.append(ended(s))) for s in (s, x)]")
    kernel.run("for one in w: one.start()")
    began = now()
    world.operator.call("vault.lock")
    try:
        kernel.run("for one in w: one.join(20)")
        taken = [since(began, at) for at in kernel.run("sorted(t)")]
        _log.info("cut after %s ms", [round(one * 1000, 1) for one in taken])
        assert max(taken) < CUT_S
        wait_until(
            lambda: stuck not in world.processes()[1], deadline_s=DEADLINE_S, what="the stuck worker's end"
        )
    finally:
        world.operator.call("vault.unlock", {"passphrase": PASSPHRASE})
    assert kernel.run("[pinged(live(h)), pinged(live(c))]") == ["+PONG\r\n"] * 2


def test_a_killed_worker_is_replaced_at_the_next_use(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """What was open is lost; the handle is not."""
    name, _ = world.define()
    other, _ = world.define()
    kernel.run(f"c = connection({other!r}); x = live(c)")
    before = world.processes()[1]
    kernel.run(f"h = connection({name!r}); s = live(h)")
    (worker,) = workers_since(world, before)
    os.kill(worker, signal.SIGKILL)
    kernel.run("ended(s)")
    assert kernel.run("[pinged(live(h)), pinged(x)]") == ["+PONG\r\n"] * 2
    assert worker not in world.processes()[1]


def test_a_killed_zygote_is_replaced_at_the_next_use(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Its workers end with it."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r}); s = live(h)")
    zygote, workers = world.processes()
    os.kill(zygote, signal.SIGKILL)
    kernel.run("ended(s)")
    wait_until(
        lambda: not any(runs(pid) for pid in workers),
        deadline_s=DEADLINE_S,
        what="the workers' end",
    )
    assert kernel.run("pinged(live(h))") == "+PONG\r\n"
    assert world.processes()[0] != zygote


def test_after_a_killed_broker_the_same_handle_works(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """What was open ends with it: nobody could cut it any more. Then the vault is unlocked, and on it goes."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r}, reason='always'); s = live(h)")
    zygote, workers = world.processes()
    pid = world.operator.broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    kernel.run("ended(s)")
    wait_until(
        lambda: world.operator.broker.pid not in (None, pid), deadline_s=DEADLINE_S, what="a new broker"
    )
    wait_until(lambda: not any(map(runs, (zygote, *workers))), deadline_s=DEADLINE_S, what="their end")
    world.operator.call("vault.unlock", {"passphrase": PASSPHRASE})
    world.operator.call("supervision.approvers", {"count": 1})
    world.notebooks.tell()
    assert kernel.run("pinged(live(h))") == "+PONG\r\n"
