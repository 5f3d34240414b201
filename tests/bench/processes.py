"""What the operating system has counted for a process: memory and processor time. Linux; open to all, even hardened."""

from __future__ import annotations

import os
from pathlib import Path


def resident_mb(pid: int) -> float:
    """VmRSS, in units of 10^6 bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise AssertionError("no VmRSS")


def cpu_s(pid: int) -> float:
    """Processor time of all its threads, user and system, in steps of 10 ms. See proc(5): fields 14 and 15 of stat."""
    # The name in the second field may hold spaces and brackets.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
