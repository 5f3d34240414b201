"""A socket that its client may take over: once, never of a client that was cut, and never without the broker's copy."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.relays.copying import Stop
from connvault_jupyter.relays.hand_over import GIVEN_BACK, HandOver


class Offered:
    """A hand-over at rest. `told` is what the broker has heard."""

    def __init__(self) -> None:
        self.upstream, self.server = socket.socketpair()
        self.client, self.asking = socket.socketpair()
        self.told: list[object] = []
        self.refuses = False
        self.hand_over = HandOver(session=1, upstream=self.upstream, hand=self._hand, at_rest=True)

    def _hand(self, descriptor: int) -> Callable[[bool], None]:
        if self.refuses:
            raise HandleInvalid(reason="revoked")
        self.told.append(descriptor)
        return self.told.append

    def received(self) -> list[int]:
        """The descriptors that the client has got."""
        self.client.settimeout(10)
        return socket.recv_fds(self.client, 1, 2)[1]

    def close(self) -> None:
        self.hand_over.close()
        for stream in (self.upstream, self.server, self.client, self.asking):
            stream.close()


@pytest.fixture
def offered() -> Iterator[Offered]:
    found = Offered()
    yield found
    found.close()


@pytest.mark.parametrize(("said", "given_back"), [(GIVEN_BACK, True), (b"", False), (b"?", False)])
def test_when_the_client_lets_go_the_broker_is_told(offered: Offered, said: bytes, given_back: bool) -> None:
    """Its duplicate came first; whether it keeps one is the client's word."""
    assert offered.hand_over.take(offered.asking)
    upstream, lifeline = offered.received()
    assert offered.told == [offered.upstream.fileno()]
    os.write(lifeline, said)
    os.close(lifeline)
    assert offered.hand_over.wait(10) is given_back
    assert offered.told[1:] == [given_back]
    os.close(upstream)


def test_when_asked_twice_the_second_gets_nothing(offered: Offered) -> None:
    """One session has one client."""
    assert offered.hand_over.take(offered.asking)
    assert not offered.hand_over.take(offered.asking)
    for descriptor in offered.received():
        os.close(descriptor)


def test_when_it_was_cut_nothing_is_passed_on(offered: Offered) -> None:
    """The broker takes no duplicate of it, so it could not be ended any more. Nor by asking again."""
    offered.refuses = True
    with pytest.raises(HandleInvalid):
        offered.hand_over.take(offered.asking)
    offered.refuses = False
    assert not offered.hand_over.take(offered.asking)
    assert not offered.hand_over.wait(10)
    assert offered.told == []


def test_when_the_client_has_gone_the_broker_lets_go(offered: Offered) -> None:
    """It had got its duplicate already."""
    offered.client.close()
    with pytest.raises(BrokenPipeError):
        offered.hand_over.take(offered.asking)
    assert not offered.hand_over.wait(0)
    assert offered.told == [offered.upstream.fileno(), False]


def test_when_the_server_ends_nobody_waits_for_the_client(offered: Offered) -> None:
    """The session is over, whoever still holds it."""
    assert offered.hand_over.take(offered.asking)
    held = offered.received()
    offered.server.close()
    assert not offered.hand_over.wait(10)
    for descriptor in held:
        os.close(descriptor)


def test_when_closed_without_waiting_the_broker_is_told_once(offered: Offered) -> None:
    """The relay has failed meanwhile."""
    assert offered.hand_over.take(offered.asking)
    offered.hand_over.close()
    offered.hand_over.close()
    assert offered.told[1:] == [False]
    for descriptor in offered.received():
        os.close(descriptor)


class Announced(Stop):
    """Says when it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Event()

    def __call__(self, patience_s: float) -> bool:
        self.asked.set()
        return super().__call__(patience_s)


def test_when_it_ends_while_a_client_asks_neither_waits_for_the_other(offered: Offered) -> None:
    """Something was under way until the end; the session is on its way to its next client."""
    stop = offered.hand_over.stop = Announced()
    with ThreadPoolExecutor(2) as pool:
        asking = pool.submit(offered.hand_over.take, offered.asking)
        assert stop.asked.wait(10)
        # Far below the patience of who asks.
        pool.submit(offered.hand_over.close).result(2)
        assert not asking.result(2)
    assert offered.told == []
