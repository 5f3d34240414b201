"""Which of SQLAlchemy's tests run: those that a backend makes a difference to, below the ORM."""

from __future__ import annotations

from ..sources import Source

SOURCE = Source("SQLAlchemy", "2.1.9")

# The ORM's are thousands more, and reach the driver by what these test. Call counts and memory are not compared.
ARGUMENTS = (
    "test/dialect", "test/engine", "test/sql",
    "--backend-only", "--nomemory", "--notimingintensive", "--nomypy",
    "--maxfail=100000",
)  # fmt: skip
