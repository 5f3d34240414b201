"""How long and how large anything in a relay may be, and what is left of a deadline."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes. Each wait of a relay ends by one of these."""

    # A far database behind a VPN answers within three seconds.
    connect_s: float = 15.0
    # A whole login, whatever number of messages it takes: a server that sends a byte a second is not waited for.
    login_s: float = 30.0
    # A client that connected and says nothing.
    greeting_s: float = 30.0
    # A notebook is left over the night and goes on in the morning; longer than that nobody comes back.
    idle_s: float = 12 * 3600.0
    lifetime_s: float = 7 * 24 * 3600.0
    # After one side has ended its half: for the other one to finish what it was sending.
    half_close_s: float = 60.0
    # A side that takes nothing: the bytes for it wait in the other side's socket, not here, but not for ever.
    stalled_s: float = 300.0
    # Of a handle; more than any pool's default.
    connections: int = 256
    # Logged-in sessions that wait in a worker for the next client, where a protocol can keep some; 0: none.
    warm_logins: int = 4
    # One read. Two of them a direction stay far below 16 MiB a connection.
    block_bytes: int = 256 * 1024


LIMITS = Limits()


def left_s(deadline: float) -> float:
    """Seconds until then, for `settimeout` before each read or write: a socket's own time-out begins anew with each.

    `deadline` is as `time.monotonic` counts.

    Raises: TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
