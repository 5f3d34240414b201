"""Programs whose memory is closed to other processes from their very first instruction. Linux.

A process that hardens itself is open between exec and that moment: a quick process of the same user can open
/proc/PID/mem, copy a descriptor, attach a debugger, or write code into it. The kernel leaves no such gap for a program
that the user may execute but not read (execve(2); "suid_dumpable" in proc(5)): the process then starts as not
dumpable. The interpreter itself is readable, so we execute the dynamic loader (ld.so(8)), which takes the program to
run as its argument: a copy of it in memory, with only the permission to execute. It is small, and everything else
stays shared with other processes.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

# <linux/memfd.h>. The second one since Linux 6.3, where executable memory files must be requested. Older kernels
# refuse it.
_MFD_CLOEXEC = 0x1
_MFD_EXEC = 0x10

_EXECUTE_ONLY = 0o100

# ELF(5), 64 bits: where the program headers are, their size and number; a header's type, offset and size.
_PT_INTERP = 3
_MAX_LOADER_BYTES = 4 << 20


def unreadable_loader() -> int | None:
    """A descriptor of the copy; execute `/proc/self/fd/N` with the interpreter as the first argument.

    `None` if impossible: another system, a kernel that forbids it, an interpreter without a loader, or a user who may
    read every file (root).
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        with open(_loader_of(sys.executable), "rb") as file:
            program = file.read(_MAX_LOADER_BYTES)
        writable = _memory_file()
        try:
            os.write(writable, program)
            os.fchmod(writable, _EXECUTE_ONLY)
            # A file that is open for writing can't be executed.
            found = os.open(f"/proc/self/fd/{writable}", os.O_PATH | os.O_CLOEXEC)
        finally:
            os.close(writable)
    except (OSError, AttributeError, ValueError, struct.error):
        return None
    if os.access(f"/proc/self/fd/{found}", os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        os.close(found)
        return None
    return found


def _memory_file() -> int:
    """Through the C library: interpreters built for old systems (conda's) have no `os.memfd_create`.

    Raises: OSError, AttributeError: this library does not have it either.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for flags in (_MFD_CLOEXEC | _MFD_EXEC, _MFD_CLOEXEC):
        found = int(libc.memfd_create(b"connvault", ctypes.c_uint(flags)))
        if found >= 0:
            return found
    raise OSError(ctypes.get_errno(), "memfd_create")


def _loader_of(program: str) -> str:
    """Raises: ValueError, struct.error: it is not a 64-bit ELF file, or the kernel loads it without a loader."""
    with open(program, "rb") as file:
        head = file.read(64)
        if head[:5] != b"\x7fELF\x02":
            raise ValueError("no 64-bit ELF file")
        order = "<" if head[5] == 1 else ">"
        (table,) = struct.unpack_from(order + "Q", head, 32)
        size, count = struct.unpack_from(order + "HH", head, 54)
        file.seek(table)
        headers = file.read(size * count)
        for at in range(0, size * count, size):
            kind, _, offset, _, _, length = struct.unpack_from(order + "IIQQQQ", headers, at)
            if kind == _PT_INTERP:
                file.seek(offset)
                return os.fsdecode(file.read(length).rstrip(b"\0"))
    raise ValueError("no loader")
