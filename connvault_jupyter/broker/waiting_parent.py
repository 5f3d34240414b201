"""Continues in a copy of the process, while the original only waits for it. Linux.

A copy has its own memory, so files that another process has opened of the original (/proc/PID/mem, maps, environ)
never show what the copy learns. The original stays for its parent: it forwards signals and ends as the copy ends. It
costs a few megabytes, nearly all of them shared.
"""

from __future__ import annotations

import os
import signal

from .hardening import show_as

# The name that ps shows; both have the same arguments.
NAME = "connvault-wait"

_PASSED_ON = (
    signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip


def continue_in_child() -> None:
    """Returns only in the copy, with the signal settings restored. Call it before there is a second thread."""
    # Blocked, so that none is lost before `_wait_for` waits for it.
    waited_for = {*_PASSED_ON, signal.SIGCHLD}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, waited_for)
    # If SIGCHLD stayed ignored, as some launchers leave it, there would be nothing to wait for.
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
            # Process 1 of a container also gets the orphans of others.
            ended = -1
            while ended:
                ended, status = os.waitpid(-1, os.WNOHANG)
                if ended == child:
                    return status
        elif heard.si_code <= 0:
            # Sent by a process. A signal from the terminal (Ctrl-C) comes from the kernel, and reaches the child as
            # well.
            os.kill(child, heard.si_signo)


def _end_as(status: int) -> None:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        os.kill(os.getpid(), number)
        # Process 1 of a container can't end itself by a signal; this is the status that shells use.
        os._exit(128 + number)
    os._exit(os.waitstatus_to_exitcode(status))
