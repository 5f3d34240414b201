"""Identifies the file that a process outside kernels runs, from how it was started. It decides nothing about access.

An allow list: only a Python interpreter has a script, and only if it was started in a way known to run nothing but
this one file. Anything else (another program, an unlisted option) has none. The process can rewrite these words, so
this is attribution, not a boundary.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# The last one is a framework build on macOS.
_PYTHON = re.compile(r"(python|pypy|Python)[0-9.]*[td]?")

# Larger "scripts" are programs or data; hashing them would delay the answer.
_MAX_SCRIPT_BYTES = 16 * 1024 * 1024

# Options of python(1) with which the file is still all that runs. Not included: `-c` and `-m` (other code), `-i` (more
# code afterwards, from standard input), `-x` (not the whole file), and options that exit at once.
_FLAGS = frozenset("bBdEIOPqRsSuv")

# Values of the options that take one. A warning's category is imported from anywhere, and `-X pycache_prefix` and
# `presite` load other code, so only values known to load none are accepted.
_VALUES = {
    "W": re.compile(r"(default|error|always|all|module|once|ignore|[demoai])(::[A-Z][A-Za-z]*Warning)?"),
    "X": re.compile(
        r"dev|faulthandler|importtime|showrefcount|no_debug_ranges|warn_default_encoding|perf(_jit)?"
        r"|(utf8|gil|frozen_modules|tracemalloc|int_max_str_digits|cpu_count)(=(on|off|default|\d{1,9}))?"
    ),
}
_CHECK_PYCS = "--check-hash-based-pycs"
_PYCS = frozenset({"always", "default", "never"})

# These variables influence what runs, so they are part of the script's identity, except those known not to.
_TELLING = re.compile(r"PYTHON|LD_|DYLD_")
_HARMLESS = frozenset(
    {
        "PYTHONDONTWRITEBYTECODE", "PYTHONFAULTHANDLER", "PYTHONHASHSEED", "PYTHONIOENCODING", "PYTHONNOUSERSITE",
        "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONTRACEMALLOC", "PYTHONUNBUFFERED", "PYTHONUTF8",
    }
)  # fmt: skip

# As `-i`.
_INSPECT = "PYTHONINSPECT"

# Paths there lead to something else, and differ between the broker and the process.
_SPECIAL = (Path("/proc"), Path("/dev"))


@dataclass(frozen=True)
class Started:
    """How a process was started. `directory` and `environment` are `None` if they can't be read."""

    executable: str
    arguments: Sequence[str]
    directory: str | None
    environment: Mapping[str, str] | None


@dataclass(frozen=True)
class Script:
    """`surroundings` is a digest of the variables that influence what runs; empty if there are none."""

    file: Path
    sha256: str
    surroundings: str = ""


def script_of(started: Started) -> Script | None:
    """The script, if it is all that the process runs; `None` if that is not certain."""
    if started.environment is None or started.environment.get(_INSPECT):
        return None
    named = _named_file(started.executable, started.arguments)
    if named is None:
        return None
    path = Path(named)
    if not path.is_absolute():
        if started.directory is None:
            return None
        path = Path(started.directory, path)
    try:
        found = path.resolve(strict=True)
        if any(one.is_relative_to(special) for one in (path, found) for special in _SPECIAL):
            return None
        if not found.is_file() or found.stat().st_size > _MAX_SCRIPT_BYTES:
            return None
        return Script(
            found, hashlib.sha256(found.read_bytes()).hexdigest(), _surroundings(started.environment)
        )
    except (OSError, ValueError, RuntimeError):
        return None


def _surroundings(environment: Mapping[str, str]) -> str:
    told = sorted(
        f"{name}={value}"
        for name, value in environment.items()
        if _TELLING.match(name) and name not in _HARMLESS and value
    )
    return hashlib.sha256("\0".join(told).encode(errors="surrogateescape")).hexdigest() if told else ""


def _named_file(executable: str, arguments: Sequence[str]) -> str | None:
    if not _PYTHON.fullmatch(Path(executable).name):
        return None
    rest = iter(arguments[1:])
    for part in rest:
        if part == "--":
            return next(rest, None)
        if not part.startswith("-"):
            return part
        if not _is_known(part, rest):
            return None
    return None


def _is_known(option: str, rest: Iterator[str]) -> bool:
    """Whether only the file runs with this option (or cluster: `-uB`). Removes its value from `rest`."""
    if option == _CHECK_PYCS:
        return next(rest, "") in _PYCS
    for namespace, letter in enumerate(option[1:], 2):
        if letter in _VALUES:
            value = option[namespace:] or next(rest, "")
            return _VALUES[letter].fullmatch(value) is not None
        if letter not in _FLAGS:
            return False
    # A single dash means standard input.
    return len(option) > 1
