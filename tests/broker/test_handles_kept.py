"""What a notebook still uses is not lost: by another handle's release, by very many handles, by a slow relay.

And what has ended says why, each end in its own words, to the run that had it and to nobody else.
"""

from __future__ import annotations

import os
import resource
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.handle_end_reasons import WORDS
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.redis_notebooks import RedisNotebooks, redis_notebooks
from tests.support.broker.requester import Refused, RequesterProcess

DEADLINE_S = 20.0


def rule(question: dict[str, Any]) -> str:
    words = question["reasons"][-1] if question["reasons"] else "session"
    return str(words) if words in ("once", "session", "for", "always") else "session"


@pytest.fixture(scope="module")
def world() -> Iterator[RedisNotebooks]:
    with redis_notebooks(rule, for_s=1) as made:
        with made.kernel("first.ipynb") as first:
            # Starts the relays.
            first.run(f"live(connection({made.define()[0]!r}))")
        yield made


@pytest.fixture
def kernel(world: RedisNotebooks) -> Iterator[RequesterProcess]:
    with world.kernel() as found:
        yield found


# A transaction, as it is in Redis: what is queued is lost with the connection.
BEGIN = "assert said({0}, b'MULTI') == '+OK\\r\\n' and said({0}, b'SET', b'k', b'v') == '+QUEUED\\r\\n'"
COMMIT = "said({0}, b'EXEC')"
DONE = "*1\r\n+OK\r\n"


@pytest.mark.parametrize("how", ["release()", "__exit__(None, None, None)"])
def test_releasing_one_handle_of_a_stopped_relay_ends_that_one_alone(
    world: RedisNotebooks, kernel: RequesterProcess, how: str
) -> None:
    """At once, though the relay can do nothing; the other one's transaction goes on when it can again."""
    name, _ = world.define()
    before = world.processes()[1]
    kernel.run(f"h = connection({name!r}); g = connection({name!r}); s, r = live(h), live(g)")
    kernel.run(BEGIN.format("r"))
    (worker,) = [pid for pid in world.processes()[1] if pid not in before]
    os.kill(worker, signal.SIGSTOP)
    try:
        kernel.run(f"h.{how}; ended(s)")
    finally:
        os.kill(worker, signal.SIGCONT)
    assert kernel.run(COMMIT.format("r")) == DONE
    assert worker in world.processes()[1]


def test_very_many_handles_end_no_transaction(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Kept in a list, asked for in a loop, or by what they give out: the first one is in the middle of something."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r}); s = live(h)")
    kernel.run(BEGIN.format("s"))
    kernel.run(f"places = set(connection({name!r}).url for _ in range(300))")
    assert kernel.run("len(places)") == 1
    kernel.run(f"many = [connection({name!r}) for _ in range(300)]")
    assert kernel.run("all(pinged(live(one)) for one in many[::50])")
    assert kernel.run(COMMIT.format("s")) == DONE


def test_what_a_notebook_has_dropped_is_released(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """On record, and without a word of the code; its client, which it still has, goes on."""
    name, _ = world.define()
    kernel.run(f"c = connection({name!r}).client(); assert c.ping()")
    kernel.run(f"connection({name!r}, agent='dropped', reason='once'); None")

    def released() -> list[str]:
        rows = world.notebooks.record(type="access:released")
        return [row["decision"] for row in rows if row["connection"] == name]

    wait_until(
        lambda: released() == ["once"],
        deadline_s=DEADLINE_S,
        what="the dropped one to be released",
    )
    kernel.run("assert c.ping()")
    kernel.run("import gc; del c; gc.collect()")
    wait_until(
        lambda: released() == ["session", "once"],
        deadline_s=DEADLINE_S,
        what="the one of the client to be released",
    )


def test_in_a_loop_this_time_is_asked_each_time(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """It is for one handle."""
    name, _ = world.define()
    before = len(world.operator.asked)
    kernel.run(f"for _ in range(3): h = connection({name!r}, reason='once'); h.url")
    assert len(world.operator.asked) == before + 3


def of(kernel: RequesterProcess, code: str = "h._handle_ref.check()") -> tuple[str, str]:
    """(reason, message) of a handle that is good no more."""
    with pytest.raises(Refused) as caught:
        kernel.run(code)
    assert caught.value.kind == "HandleInvalid", caught.value
    return caught.value.details["reason"].strip("'"), str(caught.value).partition(": ")[2]


def delete(world: RedisNotebooks, connection_id: str) -> None:
    found = world.operator.call("connections.get", {"id": connection_id})["connection"]
    world.operator.call("connections.delete", {"id": connection_id, "revision": found["revision"]})


def move(world: RedisNotebooks, connection_id: str) -> None:
    found = world.operator.call("connections.get", {"id": connection_id})["connection"]
    world.operator.call(
        "connections.update",
        {"id": connection_id, "revision": found["revision"], "fields": {**world.fields, "database": 5}},
    )


ENDS: dict[str, Callable[[RedisNotebooks, str], object]] = {
    "revoked": lambda world, connection_id: world.revoke(connection_id),
    "changed": move,
    "deleted": delete,
    "document_gone": lambda world, _: world.operator.call(
        "supervision.documents_gone", {"paths": ["a.ipynb"]}
    ),
}


@pytest.mark.parametrize(("why", "end"), ENDS.items(), ids=ENDS)
def test_each_end_of_a_handle_has_its_own_words(
    world: RedisNotebooks, kernel: RequesterProcess, why: str, end: Callable[[RedisNotebooks, str], object]
) -> None:
    """For the run that had it; another one learns nothing of it."""
    name, connection_id = world.define()
    decision = "always" if why == "document_gone" else "session"
    kernel.run(f"h = connection({name!r}, reason={decision!r}); s = live(h)")
    ref = kernel.run("str.__str__(h._handle_ref._ref)")
    end(world, connection_id)
    assert of(kernel) == (why, WORDS[why])  # type: ignore[index]
    assert of(kernel, "h.url") == (why, WORDS[why])  # type: ignore[index]
    with world.kernel("other.ipynb") as other:
        other.run("from connvault_jupyter.kernel.api import broker")
        assert of(other, f"broker().ask('access.check', {{'ref': {ref!r}}})")[0] == "unknown"
        assert of(other, f"broker().ask('access.check', {{'ref': {'x' * 43!r}}})")[0] == "unknown"


def test_a_handle_whose_time_is_over_says_so(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Whether or not it was cleared away meanwhile."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r}, reason='for'); s = live(h); ended(s)")
    assert of(kernel) == ("expired", WORDS["expired"])
    wait_until(
        lambda: (
            not world.operator.call("grants.list")["grants"]
            or all(view["connection"] != name for view in world.operator.call("grants.list")["grants"])
        ),
        deadline_s=DEADLINE_S,
        what="the permission to be cleared away",
    )
    assert of(kernel) == ("expired", WORDS["expired"])


def test_another_process_is_told_that_the_handle_is_not_its_own(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """As long as the handle is good for its own."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r})")
    ref = kernel.run("str.__str__(h._handle_ref._ref)")
    with world.kernel("other.ipynb") as other:
        other.run("from connvault_jupyter.kernel.api import broker")
        assert of(other, f"broker().ask('access.check', {{'ref': {ref!r}}})") == ("foreign", WORDS["foreign"])


def test_after_a_restart_the_kernel_is_what_is_gone(world: RedisNotebooks) -> None:
    """The notebook has kept the ref somewhere."""
    name, _ = world.define()
    with world.notebooks.open("again.ipynb", kernel_id="k") as first:
        first.run(f"h = connection({name!r})")
        ref = first.run("str.__str__(h._handle_ref._ref)")
    with world.notebooks.open("again.ipynb", kernel_id="k") as second:
        second.run("from connvault_jupyter.kernel.api import broker")
        ask = f"broker().ask('access.check', {{'ref': {ref!r}}})"
        wait_until(
            lambda: of(second, ask)[0] == "kernel_gone",
            deadline_s=DEADLINE_S,
            what="the broker to see that the kernel has ended",
        )
        assert of(second, ask) == ("kernel_gone", WORDS["kernel_gone"])


def test_the_broker_has_room_for_the_clients_of_all_notebooks() -> None:
    """It has a copy of each one's socket; a process may have 1,024 or fewer unless it says that it needs more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    try:
        with (
            tempfile.TemporaryDirectory(prefix="cv-") as folder,
            operated_broker(Path(folder), rule=rule) as (operator, _),
        ):
            assert operator.broker.pid is not None
            has, _ = resource.prlimit(operator.broker.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert has == (8192 if hard == resource.RLIM_INFINITY else min(hard, 8192))
