"""One deadline for a whole login or message: a socket's own time-out begins anew with each read and write."""

from __future__ import annotations

import time


def left_s(deadline: float) -> float:
    """Seconds until then, for `settimeout` before each read or write. `deadline` is as `time.monotonic` counts.

    Raises: TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
