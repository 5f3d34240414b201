"""Handles of one requester that end while others begin: the relay of the next one is never the last one's."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.relays.http_relay import HttpRelays, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import lose


@pytest.fixture(scope="module")
def relays() -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found.point("http://127.0.0.1:1")


def test_when_one_handle_ends_the_next_opens_at_the_same_moment(relays: HttpRelays) -> None:
    """Whoever releases a handle and asks again is not told that the broker is away."""
    for _ in range(40):
        ref = new_ref()
        place = relays.place(ref)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(place.socket)
        # The watch ends this one, and its worker, while the next turn opens.
        relays.revoke(ref)


def test_when_a_lost_relay_is_opened_again_its_sockets_stay(relays: HttpRelays) -> None:
    """The watch finds the lost one late; what stands in its place, under the same name, is not it."""
    ref = new_ref()
    relays.place(ref)
    for _ in range(20):
        lose(relays.supervisor)
        relays.supervisor.changed()
        place = relays.place(ref)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(place.socket)
    relays.revoke(ref)
