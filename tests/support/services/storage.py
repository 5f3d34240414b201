"""A second look at a stored database: other processes that use it, and hands that edit its rows."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

# What each child starts with; its first argument is the data directory.
_PREAMBLE = """
import json, os, sys
from pathlib import Path
from connvault_jupyter.errors import *
from connvault_jupyter.contracts.audit import AuditFilter
from connvault_jupyter.storage.conformance.samples import *
from connvault_jupyter.storage.stores import open_stores

def say(what):
    print(json.dumps(what), flush=True)

data_dir = Path(sys.argv[1])
"""


@contextmanager
def child(
    script: str, *arguments: str | Path, wrapper: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Runs `script` in a Python of its own with pipes; killed, by its pid, when the block ends before it does."""
    process = subprocess.Popen(
        [*wrapper, sys.executable, "-c", _PREAMBLE + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def line(process: subprocess.Popen[str]) -> str:
    """The next line that the child says."""
    assert process.stdout is not None
    said = process.stdout.readline()
    assert said, "the child ended without a word"
    return said.strip()


def tell(process: subprocess.Popen[str], what: str) -> None:
    assert process.stdin is not None
    process.stdin.write(what + "\n")
    process.stdin.flush()


def edit(data_dir: Path, *statements: str) -> None:
    """What somebody with an SQLite shell would do."""
    with closing(sqlite3.connect(data_dir / "connvault.db", isolation_level=None)) as connection:
        for statement in statements:
            connection.execute(statement)


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    """Looks into a database file past the stores."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        return connection.execute(sql).fetchall()
