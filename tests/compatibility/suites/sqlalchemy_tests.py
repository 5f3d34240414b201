"""Which of SQLAlchemy's tests run: those of dialects and engines, which a way to a server makes a difference to."""

from __future__ import annotations

from ..sources import Source

SOURCE = Source("SQLAlchemy", "2.1.9")

# Those of SQL and the ORM are thousands more, and reach the driver by what these test.
ARGUMENTS = (
    "test/dialect", "test/engine",
    "--backend-only", "--nomemory", "--notimingintensive", "--nomypy",
    "--maxfail=100000",
)  # fmt: skip
