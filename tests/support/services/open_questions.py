"""A world whose questions stay open: callers that wait for an answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.services.service_world import Caller, World, notebook


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    world.connection()
    yield world
    # No thread is left waiting.
    world.consent.interrupt_all()


def leave_open(world: World, run: int = 1, **claims: Any) -> Caller:
    """A caller that waits for an answer."""
    caller = world.start(notebook(run=run), **claims)
    assert caller.waits
    return caller
