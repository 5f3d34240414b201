"""Calls that may hang (an OS keyring, its daemon, a person who went for lunch), with an end. One at a time.

Nothing of keyrings here, and no retries: whoever waits decides what a time-out means.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class CallTimedOut(Exception):
    """No answer in time. The call itself may still be under way; its answer will be dropped."""


class BoundedCalls:
    """Runs calls in daemon threads, so that a hanging one neither holds the caller nor the end of the process.

    While a call hangs the next ones wait for it, each at most its own time: so one dialog of the OS is open at most,
    and hanging threads do not pile up.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._free = threading.Lock()

    def run(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """What `call` returns or raises.

        Raises:
            CallTimedOut: after `timeout_s` seconds, those spent waiting for an earlier call included.
        """
        deadline = time.monotonic() + timeout_s
        if not self._free.acquire(timeout=timeout_s):
            raise CallTimedOut
        answer: Future[T] = Future()

        def work() -> None:
            try:
                found = call()
            except BaseException as error:  # noqa: BLE001 - handed to the caller as it is
                self._free.release()
                answer.set_exception(error)
            else:
                self._free.release()
                answer.set_result(found)

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError:  # the process may have no more threads
            self._free.release()
            raise
        if not wait([answer], timeout=max(0.0, deadline - time.monotonic())).done:
            raise CallTimedOut
        return answer.result()
