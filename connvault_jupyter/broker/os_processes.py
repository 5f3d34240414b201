"""What the operating system says about a process and about the peer of a Unix socket. It judges nothing.

On Linux it
reads /proc. On macOS it uses `LOCAL_PEERPID` and `ps`; that half is written from the manuals and has not been run.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import select
import socket
import struct
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

# <linux/socket.h>, since Linux 6.5; Python has no name for it.
_SO_PEERPIDFD = 77
# <sys/un.h> and <sys/ucred.h> of macOS.
_SOL_LOCAL, _LOCAL_PEERCRED, _LOCAL_PEERPID = 0, 0x001, 0x002

_UCRED = struct.Struct("3i")

# namespaces(7). Kernels without them have no such link.
_NAMESPACE = re.compile(r"pid:\[(\d+)\]")


@dataclass(frozen=True)
class Peer:
    """The process at the other end of a socket. `pidfd` guards against reuse of the pid; -1: none."""

    pid: int
    uid: int
    pidfd: int = -1

    def still_there(self) -> bool | None:
        """Whether the process still runs; `None` without a pidfd."""
        if self.pidfd < 0:
            return None
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        return not poll.poll(0)

    def exists(self) -> bool:
        """Whether the process still runs. Without a pidfd, another process may have the pid by now."""
        there = self.still_there()
        if there is not None:
            return there
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def close(self) -> None:
        if self.pidfd >= 0:
            with contextlib.suppress(OSError):
                os.close(self.pidfd)


class PeerHidden(ProcessLookupError):
    """There is a process at the other end, but this system does not show which."""


@dataclass(frozen=True)
class Running:
    """A running process. `started` is a number that no other process with this pid has had since boot."""

    pid: int
    parent: int
    started: int


class PidNamespace(NamedTuple):
    """`machine` and `boot` are digests; `namespace` is the number of the PID namespace.

    A namespace's number is reused after it has ended, but a process is also identified by its start time, which keeps
    increasing until the next boot.
    """

    machine: str
    boot: str
    namespace: str


class Processes(Protocol):
    def peer(self, stream: socket.socket) -> Peer:
        """Raises:
        PeerHidden: the peer is in a PID namespace that can't be seen from here.
        OSError: it has ended.
        """

    def running(self, pid: int) -> Running | None:
        """`None` if there is no such process, or it is a zombie."""

    def executable(self, pid: int) -> str | None: ...

    def arguments(self, pid: int) -> list[str]:
        """As the process shows them. It can change them, so they are good for attribution, not for isolation."""

    def directory(self, pid: int) -> str | None: ...

    def has_variable(self, pid: int, name: str) -> bool:
        """Whether the process was started with this environment variable; False if that can't be read."""

    def environment(self, pid: int) -> dict[str, str] | None:
        """The environment with which the process was started. It can change it; `None` if it can't be read."""

    def sees_our_files(self, pid: int) -> bool:
        """Whether a path means the same file to the process as to us: same mount namespace, same root."""

    def namespace(self) -> PidNamespace:
        """The PID namespace that this process sees.

        Raises: OSError: /proc is not mounted, or belongs to another namespace than this process.
        """


class LinuxProcesses:
    """By SO_PEERCRED, SO_PEERPIDFD and proc(5)."""

    def peer(self, stream: socket.socket) -> Peer:
        pid, uid, _ = _UCRED.unpack(stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
        if pid <= 0:
            raise PeerHidden("the process is in another PID namespace")
        try:
            pidfd = stream.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD)
        except OSError as exc:
            if exc.errno != errno.ENOPROTOOPT:
                # The peer has ended already (before Linux 6.16): its pid may be another process's by now.
                raise
            pidfd = -1
        return Peer(pid, uid, pidfd)

    def running(self, pid: int) -> Running | None:
        try:
            with open(f"/proc/{pid}/stat", "rb") as file:
                text = file.read()
        except OSError:
            return None
        # The second field is the name in brackets, which may itself contain spaces and brackets.
        fields = text[text.rindex(b")") + 2 :].split()
        if fields[0] in (b"Z", b"X"):
            return None
        return Running(pid, int(fields[1]), int(fields[19]))

    def executable(self, pid: int) -> str | None:
        return _link(f"/proc/{pid}/exe")

    def arguments(self, pid: int) -> list[str]:
        return [os.fsdecode(part) for part in _content(f"/proc/{pid}/cmdline").split(b"\0")[:-1]]

    def directory(self, pid: int) -> str | None:
        return _link(f"/proc/{pid}/cwd")

    def has_variable(self, pid: int, name: str) -> bool:
        sought = name.encode() + b"="
        return any(part.startswith(sought) for part in _content(f"/proc/{pid}/environ").split(b"\0"))

    def environment(self, pid: int) -> dict[str, str] | None:
        try:
            text = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return None
        pairs = (os.fsdecode(part).partition("=") for part in text.split(b"\0"))
        return {name: value for name, separator, value in pairs if separator}

    def sees_our_files(self, pid: int) -> bool:
        return all(
            _link(f"/proc/{pid}/{namespace}") == (ours := _link(f"/proc/self/{namespace}"))
            and ours is not None
            for namespace in ("ns/mnt", "root")
        )

    def namespace(self) -> PidNamespace:
        # In a /proc of another PID namespace this process has another pid, or none.
        if os.readlink("/proc/self") != str(os.getpid()):
            raise ProcessLookupError("this /proc is of another PID namespace")
        name = _content("/etc/machine-id").strip() or socket.gethostname().encode()
        boot = _content("/proc/sys/kernel/random/boot_id").strip()
        namespace = _NAMESPACE.fullmatch(_link("/proc/self/ns/pid") or "")
        return PidNamespace(_short(name), _short(boot), namespace[1] if namespace else "0")


class MacProcesses:
    """By LOCAL_PEERPID and ps(1). Not run on a Mac yet: the tests run on none."""

    def peer(self, stream: socket.socket) -> Peer:
        pid = stream.getsockopt(_SOL_LOCAL, _LOCAL_PEERPID)
        # struct xucred: version, uid, number of groups, groups.
        _, uid = struct.unpack_from("2I", stream.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, 76))
        return Peer(pid, uid)

    def running(self, pid: int) -> Running | None:
        found = _ps(pid, "ppid=,stat=,lstart=").split(None, 2)
        if len(found) != 3 or found[1].startswith("Z"):
            return None
        return Running(pid, int(found[0]), int(_short(found[2].encode()), 16))

    def executable(self, pid: int) -> str | None:
        return _ps(pid, "comm=") or None

    def arguments(self, pid: int) -> list[str]:
        return _ps(pid, "args=").split()

    def directory(self, pid: int) -> str | None:  # noqa: ARG002 -- ps does not tell
        return None

    def has_variable(self, pid: int, name: str) -> bool:  # noqa: ARG002 -- ps -E needs more rights
        return False

    def environment(self, pid: int) -> dict[str, str] | None:  # noqa: ARG002 -- ps -E needs more rights
        # Empty, not `None`, as otherwise no process on macOS would have a script. The real environment is not checked.
        return {}

    def sees_our_files(self, pid: int) -> bool:  # noqa: ARG002 -- there are no mount namespaces
        return True

    def namespace(self) -> PidNamespace:
        booted = subprocess.run(["/usr/sbin/sysctl", "-n", "kern.boottime"], capture_output=True, check=False)
        return PidNamespace(_short(socket.gethostname().encode()), _short(booted.stdout), "0")


def here() -> Processes:
    """The implementation for this platform."""
    return MacProcesses() if sys.platform == "darwin" else LinuxProcesses()


def _ps(pid: int, columns: str) -> str:
    done = subprocess.run(  # noqa: S603 -- a pid and our own column names
        ["/bin/ps", "-p", str(pid), "-o", columns], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def _link(path: str) -> str | None:
    try:
        return str(Path(path).readlink())
    except OSError:
        return None


def _short(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:8]
