"""Makes the running process hard to look into. Nothing that knows what the process is for belongs here."""

from __future__ import annotations

import ctypes
import resource
import signal
import sys

# <linux/prctl.h>; the numbers are part of the kernel's stable interface.
_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4


def become_non_dumpable() -> bool:
    """No core dump, no ptrace and no /proc/PID/mem, environ or maps for processes of the same user.

    Whether it took. Root reads the process all the same. Outside Linux only core dumps are switched off and the
    answer is `False`. Kernels that this process starts are dumpable again: exec resets the flag (prctl(2)).
    """
    if not sys.platform.startswith("linux"):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        return False
    _prctl(_PR_SET_DUMPABLE, 0)
    return _prctl(_PR_GET_DUMPABLE, 0) == 0


def end_with_parent() -> None:
    """Asks the kernel for SIGKILL as soon as the thread that started this process is gone. Linux only.

    It is the second net below the end of file on the operator channel: a copy of the server's end of it that a
    careless fork keeps open would hide the end of file.
    """
    if sys.platform.startswith("linux"):
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def _prctl(option: int, argument: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0))
