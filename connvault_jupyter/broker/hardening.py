"""Protects the running process from inspection. It must not know what the process is for.

Only little of the standard library: this runs before anything else in a process.
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
# SUID_DUMP_DISABLE and SUID_DUMP_ROOT of prctl(2): other processes of the same user may not inspect it.
_CLOSED = (0, 2)

# <sys/ptrace.h> of macOS.
_PT_DENY_ATTACH = 31


def become_non_dumpable() -> bool:
    """No core dump, no ptrace and no /proc/PID/mem, environ or maps for processes of the same user.

    Returns whether it worked. Root can still read the process. Files of it that were opened earlier stay open: see
    `hardened_start`. Outside Linux this only disables core dumps and returns `False`. Kernels that this process starts
    are dumpable again: exec resets the flag (prctl(2)).
    """
    if not sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        return False
    _prctl(_PR_SET_DUMPABLE, 0)
    return _prctl(_PR_GET_DUMPABLE, 0) in _CLOSED


def is_open() -> bool:
    """Whether processes of the same user may inspect this one. Before `become_non_dumpable`: whether they could since
    its start, which its owner can prevent (see `unreadable_exec`). Unknown counts as open."""
    return not sys.platform.startswith("linux") or _prctl(_PR_GET_DUMPABLE, 0) not in _CLOSED


def tracer_of(pid: int | None = None) -> int:
    """The pid of the debugger attached to a process (default: this one); 0: none.

    One that was attached before a process hardened itself stays attached, and can read and change it. A tracer can
    falsify what a process reads about itself, but not what another process reads: everybody may read /proc/PID/status.
    On macOS there is no such file and the result is 0: use `deny_debuggers` there.

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

    Whoever has the process's task port can still read it; only root and signed debuggers get that. Does nothing
    elsewhere.
    """
    if sys.platform == "darwin":
        ctypes.CDLL(None).ptrace(_PT_DENY_ATTACH, 0, None, 0)


def end_with_parent(how: signal.Signals = signal.SIGKILL) -> bool:
    """Asks the kernel for this signal as soon as the thread that started this process is gone. Linux only.

    Returns
    whether it worked. This backs up the end of file on the operator channel, which a copy of the server's end, kept
    open by a careless fork, would hide.
    """
    return sys.platform.startswith("linux") and _prctl(_PR_SET_PDEATHSIG, int(how)) == 0


def show_as(name: str) -> None:
    """Sets the name of this process in ps and top, at most 15 characters; the default is that of the executed file.
    Linux."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_NAME, name.encode(), 0, 0, 0)


class _Start:
    """State of this process and its forks. An exec resets it, and no environment variable sets it."""

    closed = False


def note_closed_at_start() -> None:
    """Call it only after making sure that nobody has this process's memory open, and that no debugger is attached."""
    _Start.closed = True


def closed_at_start() -> bool:
    """Whether this process was closed before it held anything worth reading."""
    return _Start.closed


def _prctl(option: int, argument: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0))
