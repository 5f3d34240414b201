"""The broker's lock for tests: it knows who holds it. What must be called with it, or without, fails otherwise.

`guarded` is a store that may only be used by whoever has the lock, `outside` something slow that may only be called by
who has not, and `at_the_door` a service as `broker.dispatch` calls it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")


class OwnedLock:
    """Re-entrant."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._depth = 0

    @property
    def held(self) -> bool:
        """Whether the calling thread has it."""
        return self._owner == threading.get_ident()

    def acquire(self, timeout: float = -1) -> bool:
        taken = self._lock.acquire(timeout=timeout)
        if taken:
            self._owner = threading.get_ident()
            self._depth += 1
        return taken

    def release(self) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
        self._lock.release()

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()


def guarded(store: T, lock: OwnedLock) -> T:
    """The store for the services: each use of it asserts that the caller has the lock."""
    return cast(T, _Guarded(store, lock))


def outside(call: Callable[P, R], lock: OwnedLock) -> Callable[P, R]:
    """Something slow: each call of it asserts that the caller does not keep the lock from others meanwhile."""

    def called(*args: P.args, **named: P.kwargs) -> R:
        assert not lock.held, f"{call} is slow, and was called with the broker's lock held"
        return call(*args, **named)

    return called


def at_the_door(service: T, lock: OwnedLock, *, without: Collection[str] = ()) -> T:
    """The service as dispatch calls it: with the lock, but for the methods that take it themselves.

    Those assert that the caller has not got it: what waits inside would keep it from everybody.
    """
    return cast(T, _AtTheDoor(service, lock, frozenset(without)))


class _Guarded:
    def __init__(self, store: object, lock: OwnedLock) -> None:
        self._store = store
        self._lock = lock

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)

        def called(*args: Any, **named: Any) -> Any:
            assert self._lock.held, (
                f"{type(self._store).__name__}.{name} was called without the broker's lock"
            )
            return found(*args, **named)

        return called


class _AtTheDoor:
    def __init__(self, service: object, lock: OwnedLock, without: frozenset[str]) -> None:
        self._service = service
        self._lock = lock
        self._without = without

    def __getattr__(self, name: str) -> Any:
        if name in self._without:
            return outside(getattr(self._service, name), self._lock)
        # A property may ask the stores too.
        with self._lock:
            found = getattr(self._service, name)
        return self._locked(found) if callable(found) else found

    def _locked(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **named: Any) -> Any:
            with self._lock:
                return call(*args, **named)

        return called
