"""Starts a process that will hold secrets, and verifies that it is the one that answers. The owner's side of
`hardened_start`; it does not know the protocol that follows.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..errors import BrokerUnavailable, ConnvaultError, ProcessTraced
from .hardened_start import CHANNEL, NO_PROC, TRACED, makes_a_new_channel
from .hardening import tracer_of
from .os_processes import here
from .unreadable_exec import unreadable_loader

# An interpreter without imports starts in 30 ms; a busy machine may need a hundred times that.
_START_S = 20.0

_ROOM = socket.CMSG_SPACE(2 * array.array("i").itemsize)

# The name that ps shows, before the interpreter.
NAME = "connvault"

_IMPOSTOR = (
    "Another process answered instead of connvault's own, and was not used. connvault starts its own again. "
    "If this keeps happening, one of your programs is interfering."
)
_NO_PROC = "connvault's broker can't read /proc, so it can't rule out a debugger. Mount /proc."


class Spawner:
    """Starts `program` (arguments for this interpreter, to which the descriptor is added), any number of times.

    The process is closed to others from its first instruction, where the system can do that (`unreadable_exec`).
    """

    def __init__(self, program: Sequence[str]) -> None:
        self._program = tuple(program)
        # `None`: not known yet. Once it has worked, there is no fallback: somebody could make it fail (by exhausting
        # descriptors, say), and the next start would be open for a moment.
        self._unreadable: bool | None = None

    def __call__(self, environment: Mapping[str, str]) -> Spawned:
        """Raises: OSError: it can't be started."""
        loader = None if self._unreadable is False else unreadable_loader()
        if loader is not None:
            try:
                return Spawned(self._program, environment, loader, tried=self._tried)
            except PermissionError:
                # Some policies (noexec memory files, SELinux) forbid what the file's mode allows.
                self._tried(worked=False)
            finally:
                os.close(loader)
        if self._unreadable:
            raise OSError("the process can't be closed from its start")
        return Spawned(self._program, environment, None, tried=self._tried)

    def _tried(self, *, worked: bool) -> None:
        if self._unreadable is None:
            self._unreadable = worked


class Tried(Protocol):
    def __call__(self, *, worked: bool) -> None:
        """Whether a process that was closed from its start got as far as answering."""


class Spawned:
    """One started process. Nothing is sent to it before `meet`."""

    def __init__(
        self,
        program: Sequence[str],
        environment: Mapping[str, str],
        loader: int | None,
        *,
        tried: Tried,
    ) -> None:
        self._closed_from_birth = loader is not None
        self._tried = tried
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            # The descriptor's number is the only argument. `/` as directory: `-m` puts it on the import path, and
            # nobody can place a module there. A new session: Ctrl-C in the owner's terminal must only reach the owner.
            self.process = subprocess.Popen(  # noqa: S603 -- our own interpreter
                [*([NAME] if loader is not None else []), sys.executable, *program, str(theirs.fileno())],
                executable=sys.executable if loader is None else f"/proc/self/fd/{loader}",
                pass_fds=[theirs.fileno()] if loader is None else [theirs.fileno(), loader],
                stdin=subprocess.DEVNULL,
                cwd="/",
                env={**environment, "PYTHONSAFEPATH": "1", "PYTHON_DISABLE_REMOTE_DEBUG": "1"},
                start_new_session=True,
            )
        except OSError:
            self._line.close()
            raise
        finally:
            theirs.close()

    def meet(self) -> tuple[socket.socket, int]:
        """The channel to the process, and the pid at its other end. Waits until it has hardened itself.

        Raises:
            ProcessTraced: a debugger is attached to it.
            BrokerUnavailable: it ended, does not answer, or another process answered.
        """
        if not makes_a_new_channel():
            return self._line, self.process.pid
        try:
            self._line.settimeout(_START_S)
            # Not `recv_fds`: with it, other processes started at the same time would inherit the channel.
            word, ancillary, _, _ = self._line.recvmsg(1, _ROOM, socket.MSG_CMSG_CLOEXEC)
        except OSError:
            raise BrokerUnavailable from None
        finally:
            self._line.close()
        channels = _sockets(ancillary)
        try:
            if word == TRACED:
                raise ProcessTraced
            if word == NO_PROC:
                raise BrokerUnavailable(_NO_PROC)
            if word != CHANNEL or len(channels) != 1:
                self._look_why_it_ended()
                raise BrokerUnavailable
            pid = self._maker_of(channels[0])
        except ConnvaultError:
            for channel in channels:
                channel.close()
            raise
        if self._closed_from_birth:
            self._tried(worked=True)
        return channels[0], pid

    def _maker_of(self, channel: socket.socket) -> int:
        """Raises: ProcessTraced, BrokerUnavailable: it was not created by the process after it had hardened itself."""
        try:
            maker = here().peer(channel)
        except OSError:
            raise BrokerUnavailable(_IMPOSTOR) from None
        try:
            if maker.uid != os.geteuid() or not self._is_ours(maker.pid) or maker.still_there() is False:
                raise BrokerUnavailable(_IMPOSTOR)
            if any(map(_is_traced, {maker.pid, self.process.pid})):
                raise ProcessTraced
        finally:
            maker.close()
        return maker.pid

    def _is_ours(self, pid: int) -> bool:
        """Whether it is the process, or the copy in which it continued. Of a process that was open to others at first,
        only the copy is accepted: others may have got whatever it had before.

        Checked by the session, which the process created and nobody else can join; /proc may be hidden (`hidepid`).
        """
        try:
            descends = os.getsid(pid) == self.process.pid
        except OSError:
            return False
        return descends and (pid != self.process.pid or self._closed_from_birth)

    def _look_why_it_ended(self) -> None:
        """A loader that can't run the interpreter reports it by its exit status. A signal does not count: any process
        of this user can send one, and the next start would be open for a moment."""
        if self._closed_from_birth:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self.process.wait(timeout=1) > 0:
                    self._tried(worked=False)


def _is_traced(pid: int) -> bool:
    """Checked from outside, because a tracer controls what a traced process reads about itself."""
    try:
        return tracer_of(pid) != 0
    except OSError:
        # Hidden from here by `hidepid`. It has reported this itself.
        return False


def _sockets(ancillary: list[tuple[int, int, bytes]]) -> list[socket.socket]:
    numbers = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers.frombytes(data[: len(data) - len(data) % numbers.itemsize])
    return [socket.socket(fileno=number) for number in numbers]
