"""Kills a real process at each of its writes: the program of tests that ask what is found afterwards.

As a program it is told a module, one of its functions, and folders. For n = 0, 1, ... it copies the first folder, runs
the function on the copy in a forked process, and kills (SIGKILL) that at its n-th write; the last run is not killed. A
write is a call that changes the disk: of `os`, or a statement of the database that is watched. Of what is written to a
file, half is there when the process is killed.
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
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

from connvault_jupyter.storage.database import Database

ROOT = Path(__file__).resolve().parents[3]
_WATCHED = ("open", "write", "fsync", "replace", "unlink", "link", "fchmod")
_READING = ("SELECT", "PRAGMA", "BEGIN")


Run = Callable[[Path, "Killer"], None]


class Killer:
    """Counts the writes of this process, and kills it at one of them. Each is told to `tell` before."""

    def __init__(self, at: int, tell: Callable[[str], None]) -> None:
        self._left = at
        self._tell = tell

    def watch(self, database: Database) -> None:
        """Counts the statements of this database too."""
        database._connection = _Watched(database._connection, self)  # type: ignore[assignment]

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
        if not sql.startswith(_READING):
            self._killer.step(sql.split(" ", 1)[0])
        return self._connection.execute(sql, *parameters)


def kill_points(run: Run, base: Path, out: Path) -> list[str]:
    """Runs `run` on copies `out/0`, `out/1`, ... of `base`; returns what each was about to do when it was killed. The
    last one, which has no name here, was not."""
    return _program(run, base, out)


def kill_once(run: Run, folder: Path, at: int) -> None:
    """Runs it on `folder` itself, and kills it there."""
    _program(run, folder, at)


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


def _run(run: Run, folder: Path, at: int) -> tuple[bool, list[str]]:
    """Whether it was killed, and its steps."""
    reading, writing = os.pipe()
    write = os.write
    pid = os.fork()
    if pid == 0:

        def tell(name: str) -> None:
            write(writing, f"{name}\n".encode())

        _child(run, folder, Killer(at, tell))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        steps = said.read().splitlines()
    _, status = os.waitpid(pid, 0)
    if status and not os.WIFSIGNALED(status):
        raise RuntimeError("the killed process ended by itself, with an error")
    return os.WIFSIGNALED(status), steps


def _child(run: Run, folder: Path, killer: Killer) -> NoReturn:
    try:
        run(folder, killer)
    except BaseException:  # noqa: BLE001 -- a fork must never return into what it was forked from
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def main(arguments: Sequence[str]) -> None:
    module, function, base, out = arguments
    run: Run = getattr(importlib.import_module(module), function)
    killed = []
    if out.isdecimal():
        _, steps = _run(run, Path(base), int(out))
        killed.append(steps[-1])
    else:
        for at in count():
            folder = Path(out, str(at))
            shutil.copytree(base, folder)
            was_killed, steps = _run(run, folder, at)
            if not was_killed:
                break
            killed.append(steps[-1])
    sys.stdout.write(json.dumps(killed))


if __name__ == "__main__":
    main(sys.argv[1:])
