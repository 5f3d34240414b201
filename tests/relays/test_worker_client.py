"""The broker's end of a worker: what was passed on is its own to end, whatever the worker still does."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from connvault_jupyter.relays.pipe import Pipe
from connvault_jupyter.relays.worker import KEPT
from connvault_jupyter.relays.worker_client import WorkerClient
from tests.support.broker.processes import wait_until


class Passed:
    """A lane whose worker is the test, and a session of it: `server` is the other end, `copy` the client's."""

    def __init__(self) -> None:
        self.pipe: Pipe | None = None
        self.killed = 0
        self.asked, self.answers = threading.Event(), threading.Event()
        self.worker = WorkerClient(
            fork=self._fork,
            kill=self._kill,
            answer=self._answer,
            sighted=lambda _handle: None,
            left=lambda _handle, listening: listening.close(),
            log=logging.getLogger("connvault.tests"),
        )
        self.server, self.copy = socket.socketpair()
        self.server.settimeout(10)

    def _fork(self, descriptor: socket.socket) -> None:
        self.pipe = Pipe(descriptor.dup())

    def _kill(self) -> None:
        self.killed += 1

    def _answer(self, _handle: str, _client: socket.socket) -> Mapping[str, Any]:
        self.asked.set()
        assert self.answers.wait(10)
        return {}

    def tell(self, message: dict[str, Any], *descriptors: int) -> None:
        assert self.pipe is not None
        self.pipe.send(message, descriptors)

    def hand(self, number: int = 1, handle: str = "h1") -> bytes:
        """What the broker says to the worker that hands the session over."""
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(10)
            with theirs:
                self.tell({"handed": number, "handle": handle}, self.copy.fileno(), theirs.fileno())
            return ours.recv(10)

    def close(self) -> None:
        self.worker.end()
        assert self.pipe is not None
        self.pipe.close()
        for stream in (self.server, self.copy):
            stream.close()


@pytest.fixture
def passed() -> Iterator[Passed]:
    with contextlib.closing(Passed()) as made:
        yield made


def test_a_session_that_is_not_given_back_is_ended_by_the_broker(passed: Passed) -> None:
    """Its worker may be stopped or killed before it does; the client may have kept a copy."""
    assert passed.hand() == KEPT
    passed.tell({"returned": 1, "kept": False})
    assert passed.server.recv(1) == b""


def test_a_session_that_is_given_back_stays_until_the_lane_ends(passed: Passed) -> None:
    """The next client of the same permission may get it."""
    assert passed.hand() == KEPT
    passed.tell({"returned": 1, "kept": True})
    # In order: what comes next is read after that.
    assert passed.hand(number=2) == KEPT
    passed.copy.sendall(b"!")
    assert passed.server.recv(1) == b"!"
    passed.worker.end()
    assert passed.server.recv(1) == b""


def test_after_the_end_no_socket_is_kept_and_none_is_passed_on(passed: Passed) -> None:
    """The worker hears of no duplicate, so it does not pass the socket on."""
    passed.worker.end()
    assert passed.killed == 1
    with pytest.raises(BrokenPipeError):
        passed.hand()


def test_without_a_free_descriptor_no_socket_is_kept(passed: Passed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then it is not passed on either: nobody could end it."""

    def full(_descriptor: int) -> int:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr("connvault_jupyter.relays.worker_client.os.dup", full)
        assert passed.hand() == b""
    assert passed.hand() == KEPT


def test_a_pipe_is_closed_by_who_reads_it(passed: Passed) -> None:
    """Closed by another thread, its number could be another pipe's by the time it is read again."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        passed.tell({"login": "h1"}, passed.copy.fileno(), theirs.fileno())
        assert passed.asked.wait(10)
        pipe = passed.worker._pipe
        passed.worker.end()
        assert pipe.fileno() >= 0
        passed.answers.set()
        wait_until(lambda: pipe.fileno() < 0, deadline_s=10, what="the end of the pipe")
