"""Handles of one requester that end while others begin: the relay of the next one is never the last one's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from connvault_jupyter.services.relay_ports import RelayEndpoint
from tests.support.broker.processes import wait_until
from tests.support.relays.http_relay import HttpRelays, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import lose, wait_for_the_cut, workers


@pytest.fixture(scope="module")
def relays() -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found.point("http://127.0.0.1:1")


def test_when_one_handle_ends_the_next_opens_at_the_same_moment(relays: HttpRelays) -> None:
    """Whoever releases a handle and asks again is not told that the broker is away."""
    for _ in range(40):
        ref = new_ref()
        endpoint = relays.endpoint(ref)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(endpoint.socket)
        # The watch ends this one, and its worker, while the next turn opens.
        relays.revoke(ref)


def test_when_a_lost_relay_is_opened_again_its_sockets_stay(relays: HttpRelays) -> None:
    """The watch finds the lost one late; what stands in its place, under the same name, is not it."""
    ref = new_ref()
    relays.endpoint(ref)
    for _ in range(20):
        lose(relays.supervisor)
        relays.supervisor.changed()
        endpoint = relays.endpoint(ref)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(endpoint.socket)
    relays.revoke(ref)


class SlowStarts:
    """Workers of this supervisor that begin when they may."""

    def __init__(self, relays: HttpRelays, patch: pytest.MonkeyPatch) -> None:
        self.begun = 0
        self.may_begin = threading.Event()
        self._started: Callable[..., Any] = relays.supervisor._new_worker
        patch.setattr(relays.supervisor, "_new_worker", self._start)

    def _start(self, *args: Any) -> Any:
        self.begun += 1
        assert self.may_begin.wait(30)
        return self._started(*args)


@pytest.mark.parametrize("same_handle", [True, False], ids=["the same handle", "handles of one grant"])
def test_when_two_open_while_the_lost_worker_is_swept_there_is_one_worker(
    relays: HttpRelays, monkeypatch: pytest.MonkeyPatch, same_handle: bool
) -> None:
    """Two openers wait for one start, whatever the watch does with the worker that was there before; a second worker
    would be in nobody's list, and outlive the permission."""
    one = new_ref()
    other = one if same_handle else new_ref()
    relays.endpoint(one)
    before = len(workers())
    lose(relays.supervisor)
    starts = SlowStarts(relays, monkeypatch)
    with ThreadPoolExecutor() as threads:
        first = threads.submit(relays.endpoint, one)
        wait_until(lambda: starts.begun == 1, deadline_s=20, what="the first start")
        relays.supervisor.changed()
        wait_for_the_cut(relays.supervisor)
        second = threads.submit(relays.endpoint, other)
        wait_until(
            lambda: (
                starts.begun == 2
                or [turn.wanted_by for turn in relays.supervisor._openings._turns.values()] == [2]
            ),
            deadline_s=20,
            what="the second opener",
        )
        starts.may_begin.set()
        endpoints: list[RelayEndpoint] = [first.result(30), second.result(30)]
    assert starts.begun == 1
    assert len(workers()) == before
    for endpoint in endpoints:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(endpoint.socket)
    relays.revoke(one)
    relays.revoke(other)
    wait_until(lambda: len(workers()) == before - 1, deadline_s=20, what="the end of the worker")
