"""Open sessions at a real Redis that are to end: the world, a kernel in it, and how long to wait."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.broker.redis_notebooks import RedisNotebooks, redis_notebooks
from tests.support.broker.requester import RequesterProcess

# Without the cut what is open would stay so; how soon it is (0.1 s are promised) says a benchmark.
CUT_S = 15.0

DEADLINE_S = 20.0


def rule(question: dict[str, Any]) -> str:
    """The code's own words say what the person answers."""
    words = question["reasons"][-1] if question["reasons"] else "session"
    return str(words) if words in ("once", "session", "for", "always", "deny") else "session"


@pytest.fixture(scope="module")
def world() -> Iterator[RedisNotebooks]:
    with redis_notebooks(rule) as made:
        yield made


@pytest.fixture
def kernel(world: RedisNotebooks) -> Iterator[RequesterProcess]:
    with world.kernel() as found:
        yield found
