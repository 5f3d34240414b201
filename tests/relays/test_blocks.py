"""How much is read at once: what a small answer costs, and what a large one needs."""

from __future__ import annotations

import itertools

import pytest

from connvault_jupyter.relays.copying import ReadSize
from connvault_jupyter.relays.limits import LIMITS

# mallopt(3): from here on memory comes from the system and goes back to it.
_MMAP_THRESHOLD = 128 * 1024


def test_a_block_stays_small_when_little_comes() -> None:
    size = ReadSize(LIMITS.block_bytes)
    for count in (1, 100, 65535):
        size.came(count)
        assert size.bytes < _MMAP_THRESHOLD


def test_a_block_grows_when_much_comes_and_shrinks_again() -> None:
    """A large read that brings less than it could is no reason to read less: a socket is never full for long."""
    size = ReadSize(LIMITS.block_bytes)
    size.came(size.bytes)
    assert size.bytes == LIMITS.block_bytes
    size.came(LIMITS.block_bytes // 2)
    assert size.bytes == LIMITS.block_bytes
    size.came(10)
    assert size.bytes < _MMAP_THRESHOLD


@pytest.mark.parametrize(("largest", "count"), [*itertools.product([1, 4096], [0, 1, 4096])])
def test_a_block_is_never_more_than_its_largest(largest: int, count: int) -> None:
    size = ReadSize(largest)
    assert size.bytes == largest
    size.came(min(count, largest))
    assert size.bytes == largest
