"""Mutants of functions, in one process that has imported everything: their code is exchanged in a fork of it.

    python -m setup_hooks.mutants_in_process ORDERS RESULTS

ORDERS is JSON (`Orders`). The tests run once and are watched: which of them call which function. Then a mutant costs a
fork and those tests alone, the quickest first. RESULTS gets a line of JSON for each mutant, `[index, outcome]`. What is
no function's code (a module's or a class's own, a default) can't be exchanged so, and is `elsewhere`: `mutants` tries
those in a copy of the checkout. So it does with tests that start processes: those import what is stored.
"""

from __future__ import annotations

import ast
import functools
import gc
import json
import os
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, TypedDict

import pytest
from _pytest.runner import runtestprotocol

from .generated import ROOT
from .mutations import Mutation, changed, mutations

_PACKAGE = str(ROOT / "connvault_jupyter")

# What a mutant may take, as a multiple of what its tests took while they were watched, which is slow by itself.
_TIMES_AS_LONG = 3
_AT_LEAST_S = 60

_POLL_S = 0.01

_CACHED = type(functools.lru_cache(lambda: None))

# How a fork ends; by a signal, if the change made it crash.
_SURVIVED, _KILLED, _ELSEWHERE = 0, 1, 2
_OUTCOMES = {_SURVIVED: "survived", _KILLED: "killed", _ELSEWHERE: "elsewhere"}

Function = tuple[str, str, int]
"""File, name and first line: what a function's code is known by."""


class Orders(TypedDict):
    """`mutants`: module (a path from the root of the checkout) and the mutation's index."""

    tests: list[str]
    mutants: list[tuple[str, int]]
    workers: int


@dataclass
class _Watched:
    """What the tests called, and how long they took."""

    callers: dict[Function, set[int]] = field(default_factory=lambda: defaultdict(set))
    seconds: dict[int, float] = field(default_factory=dict)


class Prober:
    """A plugin that runs the tests once, and then again for each mutant."""

    def __init__(self, orders: Orders, results: Path) -> None:
        self._orders = orders
        self._results = results
        self._watched = _Watched()
        self._running: dict[int, tuple[int, float]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own."""
        red = [item.nodeid for number, item in enumerate(session.items) if not self._watch(number, item)]
        if red:
            raise pytest.UsageError(f"red without any change: {' '.join(red)}")
        live = _functions()
        for number, (module, index) in enumerate(self._orders["mutants"]):
            codes = exchanged(ROOT / module, index)
            known = {which: code for which, code in codes.items() if which in live}
            if not known or len(known) < len(codes):
                self._tell(number, "elsewhere")
                continue
            callers = {one for which in known for one in self._watched.callers.get(which, ())}
            if not callers:
                self._tell(number, "unreached")
                continue
            while len(self._running) >= self._orders["workers"]:
                self._reap()
            self._start(number, session, sorted(callers, key=self._watched.seconds.__getitem__), live, known)
        while self._running:
            self._reap()
        return True

    def _watch(self, number: int, item: pytest.Item) -> bool:
        called: set[CodeType] = set()

        def look(frame: FrameType, _event: str, _what: Any) -> None:
            # A call; `None`: what follows in it is not watched.
            called.add(frame.f_code)

        began = time.monotonic()
        threading.settrace(look)
        sys.settrace(look)
        try:
            passed = _passes(item)
        finally:
            sys.settrace(None)
            threading.settrace(None)
        self._watched.seconds[number] = time.monotonic() - began
        # A copy: a thread that a test left behind goes on.
        for code in tuple(called):
            if code.co_filename.startswith(_PACKAGE):
                self._watched.callers[_which(code)].add(number)
        return passed

    def _start(
        self,
        number: int,
        session: pytest.Session,
        tests: Sequence[int],
        live: Mapping[Function, Sequence[FunctionType]],
        codes: Mapping[Function, CodeType],
    ) -> None:
        limit = max(_AT_LEAST_S, _TIMES_AS_LONG * sum(self._watched.seconds[one] for one in tests))
        child = os.fork()
        if child:
            self._running[child] = number, time.monotonic() + limit
            return
        os.setsid()
        status = _ELSEWHERE
        try:
            try:
                for which, code in codes.items():
                    for function in live[which]:
                        function.__code__ = code
                _forget_results()
            except ValueError:
                # It closes over other variables now.
                status = _ELSEWHERE
            else:
                status = _SURVIVED if all(_passes(session.items[one]) for one in tests) else _KILLED
        finally:
            os._exit(status)

    def _reap(self) -> None:
        """Waits until one has ended."""
        while True:
            for child, (number, until) in [*self._running.items()]:
                found, status = os.waitpid(child, os.WNOHANG)
                if found:
                    self._end(child, number, _OUTCOMES.get(os.waitstatus_to_exitcode(status), "killed"))
                    return
                if time.monotonic() > until:
                    os.killpg(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    self._end(child, number, "timed out")
                    return
            time.sleep(_POLL_S)

    def _end(self, child: int, number: int, outcome: str) -> None:
        del self._running[child]
        self._tell(number, outcome)

    def _tell(self, number: int, outcome: str) -> None:
        with self._results.open("a") as file:
            file.write(json.dumps([number, outcome]) + "\n")


def exchanged(path: Path, index: int) -> dict[Function, CodeType]:
    """The functions whose code this mutation changes, with what it becomes. Empty: it changes no function's code."""
    source, before, all_here = _unchanged(path)
    tree = changed(source, all_here[index])
    after = dict(_outermost(compile(ast.fix_missing_locations(tree), str(path), "exec")))
    return {which: code for which, code in after.items() if which in before and code != before[which]}


@functools.cache
def _unchanged(path: Path) -> tuple[str, Mapping[Function, CodeType], Sequence[Mutation]]:
    source = path.read_text("utf-8")
    return source, dict(_outermost(compile(source, str(path), "exec"))), mutations(source)


def _outermost(code: CodeType) -> Iterator[tuple[Function, CodeType]]:
    """The functions and methods of a module; what they define in themselves is part of them."""
    for part in code.co_consts:
        if isinstance(part, CodeType):
            if part.co_flags & 0x2:  # CO_NEWLOCALS: a function, no class
                yield _which(part), part
            else:
                yield from _outermost(part)


def _functions() -> dict[Function, list[FunctionType]]:
    """All that are there, wherever decorators keep them."""
    found: dict[Function, list[FunctionType]] = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(_PACKAGE):
            found[_which(one.__code__)].append(one)
    return found


def _forget_results() -> None:
    """Of functions that remember what they answered."""
    for one in gc.get_objects():
        if isinstance(one, _CACHED):
            one.cache_clear()


def _which(code: CodeType) -> Function:
    return code.co_filename, code.co_name, code.co_firstlineno


def _passes(item: pytest.Item) -> bool:
    if isinstance(item, pytest.Function):
        # As for a test that is run for the first time.
        item._initrequest()
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=None))


def main(arguments: list[str]) -> int:
    orders, results = (Path(one) for one in arguments)
    what: Orders = json.loads(orders.read_text())
    results.write_text("")
    how = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no"]
    return int(pytest.main([*how, *what["tests"]], plugins=[Prober(what, results)]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
