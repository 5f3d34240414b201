"""Calls with an end: what they answer, when they give up, and that they never pile up."""

from __future__ import annotations

import threading

import pytest

from connvault_jupyter.vault.bounded_calls import BoundedCalls, CallTimedOut


def test_a_calls_answer_comes_back() -> None:
    """The plain case, with a value and with `None`."""
    calls = BoundedCalls("test")
    assert calls.run(lambda: 7, timeout_s=5) == 7
    assert calls.run(lambda: None, timeout_s=5) is None


def test_a_call_that_takes_a_while_is_waited_for() -> None:
    """As long as its time allows."""
    answered = threading.Event()
    later = threading.Timer(0.1, answered.set)
    later.start()
    assert BoundedCalls("test").run(answered.wait, timeout_s=60) is True
    later.join()


@pytest.mark.parametrize("error", [ValueError, TimeoutError, KeyError])
def test_a_calls_error_comes_back(error: type[Exception]) -> None:
    """Its own error, a time-out of its own included, and the next call is served."""
    calls = BoundedCalls("test")

    def fail() -> None:
        raise error

    with pytest.raises(error):
        calls.run(fail, timeout_s=5)
    assert calls.run(lambda: 1, timeout_s=5) == 1


def test_the_caller_of_a_call_that_hangs_is_let_go() -> None:
    """In time, while the call is still under way."""
    calls, let_go = BoundedCalls("test"), threading.Event()
    with pytest.raises(CallTimedOut):
        calls.run(let_go.wait, timeout_s=0.05)
    let_go.set()
    assert calls.run(lambda: 1, timeout_s=5) == 1


def test_while_a_call_hangs_no_second_one_is_started() -> None:
    """One dialog at most is open, however often one asks."""
    calls, let_go, started = BoundedCalls("test"), threading.Event(), []
    with pytest.raises(CallTimedOut):
        calls.run(let_go.wait, timeout_s=0.05)
    for _ in range(5):
        with pytest.raises(CallTimedOut):
            calls.run(lambda: started.append(1), timeout_s=0.01)
    assert started == []
    let_go.set()
    calls.run(lambda: started.append(2), timeout_s=5)
    assert started == [2]


def test_a_call_that_hangs_does_not_hold_the_process() -> None:
    """Its thread is a daemon."""
    calls, let_go, seen = BoundedCalls("test"), threading.Event(), []

    def hang() -> None:
        seen.append(threading.current_thread().daemon)
        let_go.wait()

    with pytest.raises(CallTimedOut):
        calls.run(hang, timeout_s=0.05)
    let_go.set()
    assert seen == [True]


def test_a_call_for_which_there_is_no_thread_fails_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process may have no more of them; as soon as it has, the next call is served."""
    calls, started = BoundedCalls("test"), []

    def start(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="new thread"):
                calls.run(lambda: started.append(1), timeout_s=0.2)
    calls.run(lambda: started.append(2), timeout_s=5)
    assert started == [2]
