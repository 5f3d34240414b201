"""Kills a real process at each of its writes: the program of tests that ask what is found afterwards.

As a program it is told a module, one of its functions, and folders. For n = 0, 1, ... it copies the first folder, runs
the function on the copy in a forked process, and kills (SIGKILL) that at its n-th write; one run is not killed. A write
is a call that changes the disk: of `os`, or a statement or checkpoint of the database that is watched. Of what is
written to a file, half is there when the process is killed.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from connvault_jupyter.storage.database import Database

ROOT = Path(__file__).resolve().parents[3]
_WATCHED = ("open", "write", "fsync", "replace", "rename", "unlink", "link", "fchmod")
_READING = ("SELECT", "PRAGMA", "BEGIN")
# Of a pragma, it changes the disk.
_CHECKPOINT = "PRAGMA wal_checkpoint"


# Further arguments are words that it is told.
Run = Callable[..., None]


class Killer:
    """Counts the writes of this process, and kills it at one of them. Each is told to `tell` before."""

    def __init__(self, at: int, tell: Callable[[str], None]) -> None:
        self._left = at
        self._tell = tell

    def watch(self, database: Database) -> None:
        """Counts the statements of this database too."""
        database._connection = _Watched(database._connection, self)  # type: ignore[assignment]
        if database._checkpoints is not None:
            checkpoints = database._checkpoints
            checkpoints._connection = _Watched(checkpoints._connection, self)  # type: ignore[assignment]

    def watch_os(self) -> None:
        """For the rest of the process."""
        for name in _WATCHED:
            setattr(os, name, self._counted(name, getattr(os, name)))

    def step(self, name: str, half: Callable[[], object] | None = None) -> None:
        self._tell(name)
        if self._left == 0:
            if half is not None:
                half()
            os.kill(os.getpid(), signal.SIGKILL)
        self._left -= 1

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **named: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_CREAT | os.O_TRUNC):
                return call(*arguments, **named)
            half = None
            if name == "write":
                descriptor, data = arguments
                half = lambda: call(descriptor, data[: len(data) // 2])  # noqa: E731
            self.step(f"os.{name}", half)
            return call(*arguments, **named)

        return counted


class _Watched:
    """A connection of sqlite3 whose writes are counted."""

    def __init__(self, connection: Any, killer: Killer) -> None:
        self.__dict__.update(_connection=connection, _killer=killer)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._connection, name, value)

    def execute(self, sql: str, *parameters: Any) -> Any:
        if sql.startswith(_CHECKPOINT) or not sql.startswith(_READING):
            self._killer.step(sql.split(" ", 1)[0])
        return self._connection.execute(sql, *parameters)


def kill_points(run: Run, base: Path, out: Path, *told: str, most: int | None = None) -> list[str]:
    """Runs `run` on copies `out/0`, `out/1`, ... of `base`; returns what each was about to do when it was killed. The
    last one, which has no name here, was not.

    `told`: further arguments of `run`. `most`: so many points at most are tried, and the others have no folder: those
    around a COMMIT, and others in equal distances.
    """
    return _program(run, base, out, "all" if most is None else most, *told)


def chosen(steps: Sequence[str], most: int) -> list[int]:
    """Which points are tried if they are to be few: the first and the last, those at and after the last COMMIT, and
    others in equal distances."""
    if len(steps) <= most:
        return [*range(len(steps))]
    decided = max((at for at, step in enumerate(steps) if step == "COMMIT"), default=0)
    first = [decided, min(decided + 1, len(steps) - 1), 0, len(steps) - 1]
    others = [round(number * (len(steps) - 1) / most) for number in range(1, most)]
    return sorted([*dict.fromkeys([*first, *others])][:most])


def kill_once(run: Run, folder: Path, at: int) -> None:
    """Runs it on `folder` itself, and kills it there."""
    _program(run, folder, at, 0)


def _program(run: Run, *arguments: object) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", __name__, run.__module__, run.__name__, *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    killed: list[str] = json.loads(done.stdout)
    return killed


def _run(run: Run, folder: Path, at: int, told: Sequence[str] = ()) -> tuple[bool, list[str]]:
    """Whether it was killed, and its steps. `at` -1: it is not."""
    reading, writing = os.pipe()
    write = os.write
    pid = os.fork()
    if pid == 0:

        def tell(name: str) -> None:
            write(writing, f"{name}\n".encode())

        _child(run, folder, Killer(at, tell), told)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        steps = said.read().splitlines()
    _, status = os.waitpid(pid, 0)
    if status and not os.WIFSIGNALED(status):
        raise RuntimeError("the killed process ended by itself, with an error")
    return os.WIFSIGNALED(status), steps


def _child(run: Run, folder: Path, killer: Killer, told: Sequence[str]) -> NoReturn:
    try:
        run(folder, killer, *told)
    except BaseException:  # noqa: BLE001 -- a fork must never return into what it was forked from
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def main(arguments: Sequence[str]) -> None:
    module, function, base, out, most, *told = arguments
    run: Run = getattr(importlib.import_module(module), function)
    if out.isdecimal():
        _, steps = _run(run, Path(base), int(out))
        killed = steps[-1:]
    elif most == "all":
        killed = _at_each(run, Path(base), Path(out), told)
    else:
        killed = _at_some(run, Path(base), Path(out), told, int(most))
    sys.stdout.write(json.dumps(killed))


def _at_each(run: Run, base: Path, out: Path, told: Sequence[str]) -> list[str]:
    killed: list[str] = []
    while True:
        folder = out / str(len(killed))
        shutil.copytree(base, folder)
        was_killed, steps = _run(run, folder, len(killed), told)
        if not was_killed:
            return killed
        killed.append(steps[-1])


def _at_some(run: Run, base: Path, out: Path, told: Sequence[str], most: int) -> list[str]:
    whole = out / "whole"
    shutil.copytree(base, whole)
    _, steps = _run(run, whole, -1, told)
    whole.rename(out / str(len(steps)))
    for at in chosen(steps, most):
        folder = out / str(at)
        shutil.copytree(base, folder)
        was_killed, _ = _run(run, folder, at, told)
        if not was_killed:
            raise RuntimeError("it does not write the same each time")
    return steps


if __name__ == "__main__":
    main(sys.argv[1:])
