"""At the places where a handle's sockets lie: false ones, links, floods of connections that are not the requester's."""

from __future__ import annotations

import contextlib
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from tests.support.broker.broker_of import runs
from tests.support.broker.descriptors import limited
from tests.support.broker.processes import ends, wait_until
from tests.support.broker.redis_notebooks import RedisNotebooks, redis_notebooks
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.canary import found_in

# `limits.connections`.
PLACES = 256
FLOOD = 400

# With a time-out it would not wait while the listener's queue is full.
PATIENT = """
def patient(handle):
    stream = socket.socket(socket.AF_UNIX)
    stream.connect(handle._handle_ref.open().socket)
    stream.settimeout(20)
    return stream
"""


@pytest.fixture(scope="module")
def world() -> Iterator[RedisNotebooks]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    with redis_notebooks(lambda question: "session") as made:
        yield made
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def kernel(world: RedisNotebooks) -> Iterator[RequesterProcess]:
    """With a handle `h` that has a live session `s`."""
    name, _ = world.define()
    with world.kernel() as found:
        found.run(f"h = connection({name!r}); s = live(h)")
        found.run(PATIENT)
        yield found


def directory_of(kernel: RequesterProcess) -> Path:
    return Path(kernel.run("h._handle_ref.open().directory"))


def worker_of(world: RedisNotebooks) -> Any:
    (pid,) = world.processes()[1]
    return psutil.Process(pid)


def connected(path: Path) -> socket.socket:
    """A process of the same user that is not the requester: this one."""
    stream = socket.socket(socket.AF_UNIX)
    # Waits while the listener's queue is full, which it would not with a time-out.
    stream.connect(str(path))
    stream.settimeout(10)
    return stream


def listening(path: Path, heard: list[bytes]) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        stream, _ = listener.accept()
        with stream:
            heard.append(stream.recv(4096))
            stream.sendall(b"+PONG\r\n")

    threading.Thread(target=serve, daemon=True).start()
    return listener


def test_a_false_socket_in_a_handles_place_hears_no_secret(kernel: RequesterProcess) -> None:
    """Not stopped: the notebook is led to another server. But no way to the service comes by it."""
    path = directory_of(kernel) / "s"
    heard: list[bytes] = []
    path.unlink()
    with listening(path, heard):
        assert kernel.run("pinged(patient(h))") == "+PONG\r\n"
    assert heard
    assert found_in(heard[0].decode()) == []


def test_a_link_in_a_handles_place_leads_no_socket_elsewhere(
    world: RedisNotebooks, kernel: RequesterProcess, tmp_path: Path
) -> None:
    """When the relay has to be made anew: the broker makes the folder itself, or none."""
    place = directory_of(kernel)
    worker = worker_of(world)
    worker.kill()
    wait_until(lambda: not runs(worker.pid), deadline_s=10, what="the worker's end")
    kernel.run("ended(s)")
    shutil.rmtree(place)
    place.symlink_to(tmp_path)
    with pytest.raises(Refused):
        kernel.run("live(h)")
    assert list(tmp_path.iterdir()) == []
    place.unlink()
    assert kernel.run("pinged(live(h))") == "+PONG\r\n"


def test_strangers_that_connect_leave_nothing_behind(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """No session, no descriptor, no thread, and one row of the record in a while."""
    path = directory_of(kernel) / "s"
    rows = len(world.notebooks.record(type="access:refused"))
    with limited(world.operator.broker.pid, worker_of(world).pid):
        for number in range(FLOOD):
            with connected(path) as stream:
                stream.sendall(b"PING\r\n")
                if number % 2:
                    assert stream.recv(64).startswith(b"-")
        assert kernel.run("pinged(s)") == "+PONG\r\n"
        assert kernel.run("pinged(live(h))") == "+PONG\r\n"
    assert len(world.notebooks.record(type="access:refused")) <= rows + 1


def test_strangers_that_say_nothing_make_room(kernel: RequesterProcess) -> None:
    """They are in nobody's way who may log in, and what is open goes on."""
    path = directory_of(kernel) / "s"
    with contextlib.ExitStack() as stack:
        for _ in range(PLACES):
            stack.enter_context(connected(path))
        assert kernel.run("pinged(patient(h))") == "+PONG\r\n"
        assert kernel.run("pinged(s)") == "+PONG\r\n"


def test_a_handle_has_as_many_clients_as_it_may_and_in_little_memory(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """Also from its own requester; what is too much is turned away, and each costs far below 16 MB."""
    worker = worker_of(world)
    before = worker.memory_info().rss
    kernel.run("held = []")
    kernel.run(f"for _ in range({3 * PLACES}): held.append(patient(h))")
    kernel.run("answers = [pinged(one) for one in held]")
    assert kernel.run("answers.count('+PONG\\r\\n')") == PLACES - 1
    # A client that leaves for another one has its thread for a moment more.
    assert worker.num_threads() < 2 * PLACES
    assert (worker.memory_info().rss - before) / PLACES < 1 << 20


def test_another_notebook_is_served_while_one_floods(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Each has a worker of its own, and questions to the broker take their turns."""
    path = directory_of(kernel) / "s"
    name, _ = world.define()
    stop = threading.Event()

    def flood() -> None:
        while not stop.is_set():
            # It may be turned away.
            with contextlib.suppress(OSError), connected(path) as stream:
                stream.sendall(b"PING\r\n")
                stream.recv(64)

    threads = [threading.Thread(target=flood, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        with world.kernel("b.ipynb") as other:
            other.run(f"h = connection({name!r})")
            with ends():
                other.run("p = [pinged(live(h)) for _ in range(20)]")
            assert other.run("p == ['+PONG\\r\\n'] * 20")
    finally:
        stop.set()
        for thread in threads:
            thread.join()


AS_A_NEW_KERNEL = """
import socket, sys
held = []
for _ in range(8):
    held.append(socket.socket(socket.AF_UNIX))
    held[-1].connect(sys.argv[1])
    held[-1].sendall(b"PING\\r\\n")
print("connected", flush=True)
sys.stdin.read()
"""


def test_strangers_that_look_like_a_new_kernel_hold_up_nobody(kernel: RequesterProcess) -> None:
    """At the broker's own door one is waited for until the server has told whose it is; here it is not."""
    command = [sys.executable, "-c", AS_A_NEW_KERNEL, str(directory_of(kernel) / "s")]
    # A child of the broker's owner, which is this process.
    with subprocess.Popen(
        command, env={"JPY_PARENT_PID": "1"}, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == b"connected\n"
        # Each of the eight would be waited for 2 s, and they take their turns.
        with ends(within_s=8):
            assert kernel.run("pinged(patient(h))") == "+PONG\r\n"
        stranger.communicate()


def test_a_revoke_cuts_in_the_middle_of_a_flood(world: RedisNotebooks) -> None:
    """A worker that is too busy to follow is killed."""
    name, connection_id = world.define()
    with world.kernel() as kernel:
        kernel.run(f"h = connection({name!r}); s = live(h); t = []")
        path = directory_of(kernel) / "s"
        with contextlib.ExitStack() as stack:
            for _ in range(PLACES // 2):
                stack.enter_context(connected(path))
            kernel.run("w = threading.Thread(target=lambda: t.append(ended(s))); w.start()")
            world.revoke(connection_id)
            kernel.run("w.join(20)")
            assert kernel.run("len(t)") == 1


def test_strangers_that_ask_for_sockets_have_few_threads(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """Each is waited for; those that are too many are turned away."""
    worker = worker_of(world)
    with contextlib.ExitStack() as stack:
        door = directory_of(kernel) / "hand-over"
        held = [stack.enter_context(connected(door)) for _ in range(2 * PLACES)]
        # Those that came first are waited for.
        assert all(stream.recv(1) == b"" for stream in held[PLACES:])
        assert worker.num_threads() < PLACES + 20
        assert kernel.run("pinged(s)") == "+PONG\r\n"
