"""Time limits for calls that may hang (an OS keyring, its daemon, a person who is away). One call at a time.

It knows nothing about keyrings and never retries: the caller decides what a time-out means.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


class CallTimedOut(Exception):
    """No answer in time. The call itself may still be running; its result will be dropped."""


class BoundedCalls:
    """Runs calls in daemon threads, so that a hanging one blocks neither the caller nor the exit of the process.

    While a call hangs, the next ones wait for it, each at most for its own time. So at most one dialog of the OS is
    open, and hanging threads do not pile up.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._free = threading.Lock()

    def run(self, call: Callable[[], T], *, timeout_s: float) -> T:
        """What `call` returns or raises.

        Raises:
            CallTimedOut: after `timeout_s` seconds, including the wait for an earlier call.
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
        except RuntimeError:  # the process may not be able to start more threads
            self._free.release()
            raise
        if not wait([answer], timeout=max(0.0, deadline - time.monotonic())).done:
            raise CallTimedOut
        return answer.result()
