"""Goes on in a copy of the process, while the process itself only waits for it. Linux.

A copy has memory of its own, so what another process has opened of the old one's (/proc/PID/mem, maps, environ) never
shows what the copy learns. The old process stays as what its parent knows: it passes signals on and ends as the copy
ends. It costs some megabytes, nearly all of them shared.
"""

from __future__ import annotations

import os
import signal

from .hardening import show_as

# As ps shows it; the arguments are the copy's too.
NAME = "connvault-wait"

_PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


def continue_in_child() -> None:
    """Returns in the copy only, with the signals as they were. Call it before there is a second thread."""
    # Blocked, so that none is lost before somebody waits for it.
    waited_for = {*_PASSED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    # Ignored, as some launchers leave it, there would be nothing to wait for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    try:
        _end_as(_wait_for(child, waited_for))
    finally:
        os._exit(1)


def _wait_for(child: int, signals: set[signal.Signals]) -> int:
    show_as(NAME)
    while True:
        heard = signal.sigwaitinfo(signals)
        if heard.si_signo == signal.SIGCHLD:
            # A container's first process is also left what others have not waited for.
            ended = -1
            while ended:
                ended, status = os.waitpid(-1, os.WNOHANG)
                if ended == child:
                    return status
        elif heard.si_code <= 0:
            # From a process. What a terminal sends (Ctrl-C) comes from the kernel, and to the child as well.
            os.kill(child, heard.si_signo)


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        # A container's first process is not ended by a signal of its own; this is how shells write it.
        os._exit(128 + number)
    os._exit(os.waitstatus_to_exitcode(status))
