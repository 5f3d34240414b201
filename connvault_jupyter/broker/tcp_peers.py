"""Which process is at the other end of a loopback TCP connection, as /proc tells it. Linux only; no judgement here."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterable

from .processes import Peer

_SOCKET = re.compile(r"socket:\[(\d+)\]")


def tcp_peer(stream: socket.socket, likely: Iterable[int] = ()) -> Peer:
    """The process that has connected on `stream`. `likely` are pids to look at first: a look at all takes milliseconds.

    Raises: OSError: it can't be told: the connection has ended, or this system has no such files.
    """
    uid, inode = _row(stream.getpeername(), stream.getsockname())
    looked_at = set()
    for pid in (*likely, *_own_processes()):
        if pid not in looked_at:
            looked_at.add(pid)
            if _has(pid, inode):
                return Peer(pid, uid)
    raise ProcessLookupError("no process that can be seen has this connection")


def _row(local: tuple[str, int], remote: tuple[str, int]) -> tuple[int, str]:
    """(uid, inode) of the connection from `local` to `remote`. proc(5), /proc/net/tcp."""
    wanted = _written(local), _written(remote)
    with open("/proc/self/net/tcp", encoding="ascii") as table:
        next(table)
        for line in table:
            fields = line.split()
            if (fields[1], fields[2]) == wanted and fields[9] != "0":
                return int(fields[7]), fields[9]
    raise ProcessLookupError("the connection has ended")


def _written(address: tuple[str, int]) -> str:
    """`0100007F:1F90`: the address as the machine has it in memory, in hexadecimal."""
    number = int.from_bytes(socket.inet_aton(address[0]), sys.byteorder)
    return f"{number:08X}:{address[1]:04X}"


def _own_processes() -> Iterable[int]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            yield int(name)


def _has(pid: int, inode: str) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return any(_inode_of(entry.path) == inode for entry in entries)
    except OSError:
        # Another user's, or it has ended.
        return False


def _inode_of(path: str) -> str | None:
    try:
        match = _SOCKET.fullmatch(os.readlink(path))
    except OSError:
        return None
    return match[1] if match else None
