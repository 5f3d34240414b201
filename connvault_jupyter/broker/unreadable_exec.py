"""Programs whose memory is closed to other processes from their very first instruction. Linux.

A process that hardens itself is open between exec and that moment: whoever of the same user is quick opens
/proc/PID/mem, copies a descriptor, attaches a debugger, or writes code into it. The kernel leaves no such gap where
the user may execute a program but not read it (execve(2); "suid_dumpable" in proc(5)): the process is then not
dumpable when it begins. The interpreter itself is readable, so what is executed is the dynamic loader (ld.so(8)), which
takes the program to run as its argument: a copy of it, in memory, that may be executed only. It is small, and all else
stays shared with other processes.
"""

from __future__ import annotations

import os
import struct
import sys

# <linux/memfd.h>, since Linux 6.3: where executable ones must be asked for. Older kernels refuse the flag.
_MFD_EXEC = 0x10

_EXECUTE_ONLY = 0o100

# ELF(5), 64 bits: where the program headers are, their size and number; a header's type, offset and size.
_PT_INTERP = 3
_MAX_LOADER_BYTES = 4 << 20


def unreadable_loader() -> int | None:
    """A descriptor of the copy, to be executed as `/proc/self/fd/N` with the interpreter as the first argument.

    `None` where there is no way: another system, a kernel that forbids it, an interpreter without a loader, or a user
    who may read every file (root), to whom no process would be closed.
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
            # A program that is open for writing can't be executed.
            found = os.open(f"/proc/self/fd/{writable}", os.O_PATH | os.O_CLOEXEC)
        finally:
            os.close(writable)
    except (OSError, ValueError, struct.error):
        return None
    if os.access(f"/proc/self/fd/{found}", os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        os.close(found)
        return None
    return found


def _memory_file() -> int:
    try:
        return os.memfd_create("connvault", os.MFD_CLOEXEC | _MFD_EXEC)
    except OSError:
        return os.memfd_create("connvault", os.MFD_CLOEXEC)


def _loader_of(program: str) -> str:
    """Raises: ValueError, struct.error: it is no 64-bit ELF file, or is loaded by the kernel alone."""
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
