"""Searches all of another process's memory, as a debugger of the same user would read it. Linux."""

from __future__ import annotations

from collections.abc import Mapping

_BLOCK_BYTES = 1 << 20


def found_in_memory(pid: int, needles: Mapping[str, bytes]) -> list[str]:
    """The names of the needles that are in any readable page. Raises: OSError: the process can't be read."""
    longest = max(map(len, needles.values()))
    found: set[str] = set()
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as table:
        areas = [line.split() for line in table]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for area in areas:
            # The kernel's own pages can't be read by anybody.
            if not area[1].startswith("r") or area[-1] in ("[vvar]", "[vsyscall]"):
                continue
            start, end = (int(text, 16) for text in area[0].split("-"))
            tail = b""
            memory.seek(start)
            while start < end:
                try:
                    block = memory.read(min(_BLOCK_BYTES, end - start))
                except OSError:
                    # A page that was given back meanwhile.
                    break
                if not block:
                    break
                start += len(block)
                window = tail + block
                found |= {name for name, needle in needles.items() if needle in window}
                tail = window[-longest:]
    return sorted(found)
