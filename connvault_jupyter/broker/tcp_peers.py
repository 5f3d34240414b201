"""Finds the process at the other end of a loopback TCP connection in /proc. Linux only; it judges nothing."""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from .os_processes import Peer, PeerHidden

_Written: TypeAlias = Mapping[socket.AddressFamily, str]

_SOCKET = re.compile(r"socket:\[(\d+)\]")


# The tables of each kind of socket. A client's socket may be of another kind than the listener's: IPv6 sockets also
# reach IPv4 addresses, and Java uses only those.
_TABLES = {socket.AF_INET: "/proc/self/net/tcp", socket.AF_INET6: "/proc/self/net/tcp6"}

# RFC 4291 2.5.5.2.
_MAPPED = bytes(10) + b"\xff\xff"


def tcp_peer(stream: socket.socket, likely: Iterable[int] = ()) -> Peer:
    """The process that has connected on `stream`. `likely`: pids to check first, as checking all takes milliseconds.

    A process of another user has the pid 0: the table shows the user, but not the process.

    Raises:
        PeerHidden: the connection exists, but no visible process has it.
        OSError: the connection has ended, or this system has no such files.
    """
    uid, inode = _row(_written(stream.getpeername()), _written(stream.getsockname()))
    if uid != os.geteuid():
        return Peer(0, uid)
    looked_at = set()
    for pid in (*likely, *_own_processes()):
        if pid not in looked_at:
            looked_at.add(pid)
            if _has(pid, inode):
                return Peer(pid, uid)
    raise PeerHidden("no process that can be seen has this connection")


def _row(local: _Written, remote: _Written) -> tuple[int, str]:
    """(uid, inode) of the connection from `local` to `remote`. proc(5), /proc/net/tcp."""
    for family, path in _TABLES.items():
        wanted = local.get(family), remote.get(family)
        # A system without IPv6 has only one table.
        if None in wanted or (family == socket.AF_INET6 and not os.path.exists(path)):
            continue
        with open(path, encoding="ascii") as table:
            next(table)
            for line in table:
                fields = line.split()
                if (fields[1], fields[2]) == wanted and fields[9] != "0":
                    return int(fields[7]), fields[9]
    raise ProcessLookupError("the connection has ended")


def _written(address: tuple[Any, ...]) -> _Written:
    """`0100007F:1F90` in the table of IPv4: the address in the machine's byte order, in hexadecimal words of four
    bytes. An IPv4 address can also be written as IPv6.
    """
    host, port = str(address[0]), int(address[1])
    if ":" in host:
        packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
        plain = packed[len(_MAPPED) :] if packed.startswith(_MAPPED) else None
    else:
        plain = socket.inet_pton(socket.AF_INET, host)
        packed = _MAPPED + plain
    written = {socket.AF_INET6: f"{_words(packed)}:{port:04X}"}
    if plain is not None:
        written[socket.AF_INET] = f"{_words(plain)}:{port:04X}"
    return written


def _words(packed: bytes) -> str:
    return "".join(
        f"{int.from_bytes(packed[at : at + 4], sys.byteorder):08X}" for at in range(0, len(packed), 4)
    )


def _own_processes() -> Iterable[int]:
    for name in os.listdir("/proc"):
        if name.isdecimal():
            yield int(name)


def _has(pid: int, inode: str) -> bool:
    try:
        with os.scandir(f"/proc/{pid}/fd") as entries:
            return any(_inode_of(entry.path) == inode for entry in entries)
    except OSError:
        # It belongs to another user, or has ended.
        return False


def _inode_of(path: str) -> str | None:
    try:
        match = _SOCKET.fullmatch(os.readlink(path))
    except OSError:
        return None
    return match[1] if match else None
