"""What a test prepared to happen must happen: a person who was never asked, in a test about the answer, fails it."""

from __future__ import annotations

import sys
from collections.abc import Generator
from concurrent.futures import Future

import pytest

from connvault_jupyter.services.ports import Wait

# Where those were made that nobody has waited with so far.
_UNUSED: dict[int, str] = {}


def expected(wait: Wait) -> Wait:
    """The wait; the test fails if nothing waits with it, and says where whoever called this was called."""
    frame = sys._getframe(2)
    number = len(_UNUSED) and max(_UNUSED) + 1
    _UNUSED[number] = f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def used(settled: Future[None]) -> bool:
        _UNUSED.pop(number, None)
        return wait(settled)

    return used


def unused() -> list[str]:
    """Where those were made that have not been used, and forgets them."""
    found = [*_UNUSED.values()]
    _UNUSED.clear()
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, None, None]:
    try:
        yield
    except BaseException:
        unused()
        raise
    if left := unused():
        pytest.fail(
            f"no question came, though the test has an answer to it: {', '.join(left)}", pytrace=False
        )
