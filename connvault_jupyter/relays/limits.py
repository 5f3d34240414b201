"""Limits on times and sizes in a relay, and the time left until a deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes. Each wait of a relay is bounded by one of these."""

    # A distant database behind a VPN answers within three seconds.
    connect_s: float = 15.0
    # For a whole login, however many messages it takes: a server that sends a byte per second is not waited for.
    login_s: float = 30.0
    # For a client that has connected and sends nothing.
    greeting_s: float = 30.0
    # A notebook may be left overnight and continued in the morning; after that nobody returns.
    idle_s: float = 12 * 3600.0
    lifetime_s: float = 7 * 24 * 3600.0
    # For one side to finish sending after the other has closed its half.
    half_close_s: float = 60.0
    # For a side that accepts no data: its bytes wait in the other side's socket, not here, but not for ever.
    stalled_s: float = 300.0
    # Clients per handle; more than any pool's default.
    connections: int = 256
    # Logged-in sessions that wait in a worker for the next client, if a protocol can keep them; 0: none.
    warm_logins: int = 4
    # For one read. Two of them per direction stay far below 16 MiB per connection.
    block_bytes: int = 256 * 1024


LIMITS = Limits()


def left_s(deadline: float) -> float:
    """Seconds until the deadline, for `settimeout` before each read or write, as a socket's own time-out restarts each
    time.

    `deadline` is a `time.monotonic` value.

    Raises: TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
