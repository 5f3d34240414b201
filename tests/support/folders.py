"""Temporary folders for what pytest's own are too long for."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def short_tmp_path() -> Iterator[Path]:
    """A temporary folder with a path short enough for Unix sockets in it (100 bytes with their name)."""
    with tempfile.TemporaryDirectory(prefix="cv-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
