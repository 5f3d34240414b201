"""What a running process holds, as sinks to search: its memory, its open files. And how to make it leave a core. Linux.

A searching process has the secret itself, so it must be another one than the one that is searched.
"""

from __future__ import annotations

import os
import re
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

from ..sinks import Sink

_AREA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r\S+ \S+ \S+ \S+\s*(.*)")

# The kernel's own areas can't be read by anybody.
_UNREADABLE = ("[vvar]", "[vsyscall]", "[vvar_vclock]")


def memory(pid: int) -> Iterator[Sink]:
    """Each readable area, by its place and what it is mapped from. The process goes on meanwhile."""
    areas = [match for match in map(_AREA.match, Path(f"/proc/{pid}/maps").read_text().splitlines()) if match]
    assert areas, "no memory at all can be seen"
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for area in areas:
            if area[3] in _UNREADABLE:
                continue
            start, end = int(area[1], 16), int(area[2], 16)
            try:
                file.seek(start)
                content = file.read(end - start)
            except (OSError, ValueError):
                # Gone meanwhile, or a device's.
                continue
            yield Sink(f"memory {area[1]} {area[3]}", content)


def open_files(pid: int) -> Iterator[Sink]:
    """The content of each regular file that it has open, deleted ones too, and the names of all others."""
    for entry in os.scandir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(entry.path)
            yield Sink(f"descriptor {entry.name}", target.encode())
            if stat.S_ISREG(os.stat(entry.path).st_mode):
                yield Sink(f"open file {target}", Path(entry.path).read_bytes())
        except OSError:
            continue


def crash(pid: int) -> None:
    """Ends the process as a crash does: with a core where the system writes any, and the process allows one."""
    os.kill(pid, signal.SIGABRT)
