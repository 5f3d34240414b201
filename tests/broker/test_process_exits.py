"""The end of a process is known at once."""

from __future__ import annotations

import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from connvault_jupyter.broker.process_exits import ProcessExits

LOG = logging.getLogger("connvault.tests")
DEADLINE_S = 10.0


class Ends:
    """`told` are the names that were called, in order."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.watching = ProcessExits(ended=self._ended, log=LOG)
        self.watching.start()

    def _ended(self, name: str) -> None:
        self.told.put(name)
        if name == "spoils it":
            raise ValueError


@pytest.fixture
def ends() -> Iterator[Ends]:
    made = Ends()
    yield made
    made.watching.close()


def child() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


def test_when_a_process_ends_its_name_is_told(ends: Ends) -> None:
    """Also while its parent has not reaped it, and although it was watched while others were waited for."""
    first, second = child(), child()
    ends.watching.watch("first", first.pid)
    ends.watching.watch("second", second.pid)
    second.kill()
    assert ends.told.get(timeout=DEADLINE_S) == "second"
    first.communicate()
    assert ends.told.get(timeout=DEADLINE_S) == "first"
    second.communicate()


def test_a_process_watched_twice_is_told_once(ends: Ends) -> None:
    """Each connection of a requester asks for it."""
    process, other = child(), child()
    for _ in range(3):
        ends.watching.watch("it", process.pid)
    ends.watching.watch("the last", other.pid)
    process.communicate()
    assert ends.told.get(timeout=DEADLINE_S) == "it"
    other.communicate()
    assert ends.told.get(timeout=DEADLINE_S) == "the last"


def test_what_goes_wrong_with_one_does_not_end_the_others(ends: Ends) -> None:
    """A full disk, say."""
    spoiler, process = child(), child()
    ends.watching.watch("spoils it", spoiler.pid)
    ends.watching.watch("it", process.pid)
    spoiler.communicate()
    assert ends.told.get(timeout=DEADLINE_S) == "spoils it"
    process.communicate()
    assert ends.told.get(timeout=DEADLINE_S) == "it"


def test_what_has_ended_already_is_not_watched(ends: Ends) -> None:
    """Nor is what never was a process; nobody is told a name for it."""
    gone, process = child(), child()
    gone.communicate()
    for pid in (gone.pid, 0, -1):
        ends.watching.watch(f"pid {pid}", pid)
    ends.watching.watch("it", process.pid)
    process.communicate()
    assert ends.told.get(timeout=DEADLINE_S) == "it"


def test_no_descriptor_is_left_of_what_has_ended(ends: Ends) -> None:
    """A broker runs for weeks."""
    processes = [child() for _ in range(5)]
    before = len(os.listdir("/proc/self/fd"))
    for process in processes:
        ends.watching.watch(str(process.pid), process.pid)
    for process in processes:
        process.kill()
        ends.told.get(timeout=DEADLINE_S)
    assert len(os.listdir("/proc/self/fd")) == before
    for process in processes:
        process.communicate()


def test_the_thread_of_a_closed_watcher_ends() -> None:
    """And what is watched afterwards is not."""
    before = {*threading.enumerate()}
    made = Ends()
    (thread,) = {*threading.enumerate()} - before
    made.watching.close()
    with child() as late:
        made.watching.watch("late", late.pid)
        thread.join(DEADLINE_S)
        assert not thread.is_alive()
        late.communicate()
    assert made.told.empty()
