"""How a process that will hold secrets starts: hardened, without a debugger, in memory that nobody has open.

    owner                                   process (has only the inherited end of a socketpair)
                                            hardens itself; refuses if there is a debugger
                                            if it was open to others until then, continues in a copy of itself
                                        <-  "+" and one end of a new socketpair: the channel
                                        <-  or: "T" (a debugger is attached), "P" (/proc can't be read), and it ends

While a process is open, others can copy its inherited end (`pidfd_getfd`). So nothing confidential is ever sent there:
the owner checks who created the new one (`spawn`) and uses only that. Whoever has a copy of the old one can disturb
the start, but learns nothing. On macOS descriptors can't be copied like this, and a forked copy could not use the
system's libraries (fork without exec, see `multiprocessing` in Python's documentation): the inherited end stays the
channel.
"""

from __future__ import annotations

import os
import socket
import sys
from typing import NamedTuple

from .hardening import become_non_dumpable, deny_debuggers, end_with_parent, is_open, show_as, tracer_of
from .waiting_parent import continue_in_child

CHANNEL = b"+"
TRACED = b"T"
NO_PROC = b"P"


class Started(NamedTuple):
    """What the process may rely on. `owner_pid`: the process that started it. Not a dataclass: that module imports a
    lot."""

    channel: socket.socket
    owner_pid: int
    non_dumpable: bool
    dies_with_owner: bool


def makes_a_new_channel() -> bool:
    """Whether both ends create a new channel, as above."""
    return sys.platform.startswith("linux")


def start(inherited: int, *, ends_with_owner: bool) -> Started:
    """Called before anything else is imported. Does not return if the process must not serve.

    `ends_with_owner`: the kernel ends it at once; only valid if the owner's thread that starts it lives as long as the
    owner.
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
            # The owner ended before this process had asked to end with it.
            os._exit(1)
        # A debugger of this process may trace its children too.
        _refuse_a_debugger(line)
    ours, theirs = socket.socketpair()
    _say(line, CHANNEL, theirs)
    return Started(ours, owner, non_dumpable, dies_with_owner)


def _refuse_a_debugger(line: socket.socket) -> None:
    try:
        traced = tracer_of() != 0
    except OSError:
        # Refuse what can't be ruled out.
        _say(line, NO_PROC)
        os._exit(1)
    if traced:
        _say(line, TRACED)
        os._exit(1)


def _say(line: socket.socket, word: bytes, *passed: socket.socket) -> None:
    try:
        socket.send_fds(line, [word], [one.fileno() for one in passed])
    except OSError:
        # The process that started this one has gone.
        os._exit(1)
    for one in (line, *passed):
        one.close()
