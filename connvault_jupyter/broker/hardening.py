"""Makes the running process hard to look into. Nothing that knows what the process is for belongs here.

Standard library only, and little of it: it runs before anything else of a process does.
"""

from __future__ import annotations

import ctypes
import resource
import signal
import sys

# <linux/prctl.h>; the numbers are part of the kernel's stable interface.
_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_NAME = 15
# SUID_DUMP_DISABLE and SUID_DUMP_ROOT of prctl(2): a process of the same user may not look in.
_CLOSED = (0, 2)

# <sys/ptrace.h> of macOS.
_PT_DENY_ATTACH = 31


def become_non_dumpable() -> bool:
    """No core dump, no ptrace and no /proc/PID/mem, environ or maps for processes of the same user.

    Whether it took. Root reads the process all the same. What was opened of it earlier stays open: see
    `hardened_start`. Outside Linux only core dumps are switched off and the answer is `False`. Kernels that this
    process starts are dumpable again: exec resets the flag (prctl(2)).
    """
    if not sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        return False
    _prctl(_PR_SET_DUMPABLE, 0)
    return _prctl(_PR_GET_DUMPABLE, 0) in _CLOSED


def is_open() -> bool:
    """Whether processes of the same user may look into this one. Before `become_non_dumpable`: whether they could
    from its start on, which its owner can prevent (see `unreadable_exec`). What can't be told counts as open."""
    return not sys.platform.startswith("linux") or _prctl(_PR_GET_DUMPABLE, 0) not in _CLOSED


def tracer_of(pid: int | None = None) -> int:
    """The pid of the debugger that is attached to a process (default: this one); 0: none.

    One that was attached before a process hardened itself stays attached, reads it and changes it. A process's own
    answer can be falsified by its tracer, another process's can't: /proc/PID/status is for all to read. On macOS
    there is no such file and the answer is 0: `deny_debuggers` instead.

    Raises:
        OSError: /proc is not mounted, or hides the process.
    """
    if not sys.platform.startswith("linux"):
        return 0
    with open(f"/proc/{pid or 'self'}/status", "rb") as file:
        for line in file:
            if line.startswith(b"TracerPid:"):
                return int(line.split()[1])
    raise OSError("no TracerPid")


def deny_debuggers() -> None:
    """macOS: no debugger can be attached from now on, and a process that has one ends here (ptrace(2)).

    Whoever has the process's task port can still read it; only root and signed debuggers get that. Elsewhere nothing.
    """
    if sys.platform == "darwin":
        ctypes.CDLL(None).ptrace(_PT_DENY_ATTACH, 0, None, 0)


def end_with_parent(how: signal.Signals = signal.SIGKILL) -> bool:
    """Asks the kernel for this signal as soon as the thread that started this process is gone. Linux only.

    Whether it took.

    It is the second net below the end of file on the operator channel: a copy of the server's end of it that a
    careless fork keeps open would hide the end of file.
    """
    return sys.platform.startswith("linux") and _prctl(_PR_SET_PDEATHSIG, int(how)) == 0


def show_as(name: str) -> None:
    """The name of this process in ps and top, at most 15 characters; else it is the file's that was executed. Linux."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


class _Start:
    """Of this process and of what is forked from it. An exec forgets it, and no variable of the environment sets it."""

    closed = False


def note_closed_at_start() -> None:
    """Only for who has made sure that nobody has this process's memory open, and that no debugger is attached."""
    _Start.closed = True


def closed_at_start() -> bool:
    """Whether this process was closed before anything was in it that is worth reading."""
    return _Start.closed


def _prctl(option: int, argument: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0))
