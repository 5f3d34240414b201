"""How many descriptors another process has, without looking into it: that only root could with the hardened ones."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

# A broker, its zygote and a worker need about thirty each; whatever leaks with each use soon needs more.
LIMIT = 96


@contextmanager
def limited(*pids: int | None) -> Iterator[None]:
    """These processes can't have more than `LIMIT` within the block."""
    before = {}
    for pid in pids:
        assert pid is not None
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        before[pid] = (soft, hard)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (LIMIT, hard))
    yield
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
