"""How a process begins that is to have secrets: hardened, without a debugger, in memory that nobody has open.

    owner                                   process (the inherited end of a socketpair is all that it has)
                                            hardens itself; a debugger: refuses
                                            was it open to others until then: goes on in a copy of itself
                                        <-  "+" and one end of a socketpair that it has made since: the channel
                                        <-  or: "T" (a debugger is attached), "P" (/proc can't be read); it ends

While a process is open, a copy of the inherited end can be taken (`pidfd_getfd`). So nothing is ever said there: the
owner checks who has made the new one (`spawn`) and speaks there alone. Whoever has a copy of the old one can disturb
the start, and hears nothing. On macOS descriptors can't be taken so and a copy could not use the system's libraries
(fork without exec, see `multiprocessing` in Python's documentation): the inherited end stays the channel.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import NamedTuple

from .hardening import become_non_dumpable, deny_debuggers, end_with_parent, is_open, show_as, tracer_of
from .waiter import continue_in_child

CHANNEL = b"+"
TRACED = b"T"
NO_PROC = b"P"


class Started(NamedTuple):
    """What the process may rely on. `owner_pid`: who has started it. No dataclass: they import a lot."""

    channel: socket.socket
    owner_pid: int
    non_dumpable: bool
    dies_with_owner: bool


def makes_a_new_channel() -> bool:
    """Whether the two ends do as above."""
    return sys.platform.startswith("linux")


def start(inherited: int, *, ends_with_owner: bool) -> Started:
    """Called before anything else is even imported. Does not return where the process must not serve.

    `ends_with_owner`: at once, by the kernel; only where the owner's thread that starts it lives as long as it.
    """
    owner = os.getppid()
    dies_with_owner = ends_with_owner and end_with_parent()
    was_open = is_open()
    non_dumpable = become_non_dumpable()
    deny_debuggers()
    show_as("connvault")
    line = socket.socket(fileno=inherited)
    if not makes_a_new_channel():
        return Started(line, owner, non_dumpable, dies_with_owner)
    _refuse_a_debugger(line)
    if was_open:
        first = os.getpid()
        continue_in_child()
        dies_with_owner = end_with_parent() and dies_with_owner
        if os.getppid() != first:
            # It ended before this process had asked to end with it.
            os._exit(1)
        # One that traces a process may trace its children.
        _refuse_a_debugger(line)
    ours, theirs = socket.socketpair()
    _say(line, CHANNEL, theirs)
    return Started(ours, owner, non_dumpable, dies_with_owner)


def _refuse_a_debugger(line: socket.socket) -> None:
    try:
        traced = tracer_of() != 0
    except OSError:
        # What can't be ruled out is refused.
        _say(line, NO_PROC)
        os._exit(1)
    if traced:
        _say(line, TRACED)
        os._exit(1)


def _say(line: socket.socket, word: bytes, *passed: socket.socket) -> None:
    try:
        socket.send_fds(line, [word], [one.fileno() for one in passed])
    except OSError:
        # Whoever started this process has gone.
        os._exit(1)
    for one in (line, *passed):
        one.close()
