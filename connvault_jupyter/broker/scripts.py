"""Which file a process that is no kernel's child runs, told from its command line. It decides nothing about access."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

_PYTHON = re.compile(r"^(python|pypy)[0-9.]*(t|d)?$")

# Larger "scripts" are programs or data; hashing them would hold up the answer.
_MAX_SCRIPT_BYTES = 16 * 1024 * 1024

# Options of python(1) that take the next argument unless it is glued to them.
_WITH_VALUE = "WX"
_LONG_WITH_VALUE = "--check-hash-based-pycs"


@dataclass(frozen=True)
class Script:
    executable: str
    file: Path
    sha256: str


def script_of(executable: str, arguments: Sequence[str], directory: str | None) -> Script | None:
    """The script that the process runs; `None` for `-c`, `-m`, standard input and anything that is no small file."""
    named = _named_file(executable, arguments)
    if named is None:
        return None
    path = Path(named)
    if not path.is_absolute():
        if directory is None:
            return None
        path = Path(directory, path)
    try:
        path = path.resolve(strict=True)
        if not path.is_file() or path.stat().st_size > _MAX_SCRIPT_BYTES:
            return None
        return Script(executable, path, hashlib.sha256(path.read_bytes()).hexdigest())
    except (OSError, ValueError, RuntimeError):
        return None


def _named_file(executable: str, arguments: Sequence[str]) -> str | None:
    if not _PYTHON.match(Path(executable).name):
        return next((part for part in arguments[1:] if not part.startswith("-")), None)
    rest = iter(arguments[1:])
    for part in rest:
        if part == "--":
            return next(rest, None)
        if not part.startswith("-"):
            return part
        if part == "-" or _ends_options(part, rest):
            return None
    return None


def _ends_options(option: str, rest: Iterator[str]) -> bool:
    """Whether the option itself says what is run (`-c`, `-m`, also in a cluster: `-Bc`). Takes its value off `rest`."""
    if option.startswith("--"):
        if option == _LONG_WITH_VALUE:
            next(rest, None)
        return False
    for place, letter in enumerate(option[1:], 2):
        if letter in "cm":
            return True
        if letter in _WITH_VALUE:
            if place == len(option):
                next(rest, None)
            return False
    return False
