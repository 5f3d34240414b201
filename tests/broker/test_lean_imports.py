"""What the broker leaves out of its memory and of its start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_AS_THE_BROKER = """
from connvault_jupyter.broker.lean_imports import without_format_libraries
with without_format_libraries():
    from connvault_jupyter.broker.main import main
"""


@pytest.mark.parametrize(
    ("code", "imports_it"), [(_AS_THE_BROKER, False), ("import jsonschema", True)], ids=["broker", "others"]
)
def test_the_broker_imports_no_library_for_string_formats(
    tmp_path: Path, code: str, imports_it: bool
) -> None:
    """One that is installed, as in nearly every Jupyter environment, and is slow to import."""
    (tmp_path / "rfc3987_syntax.py").write_text('raise SystemExit("imported")')
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("imported" in done.stderr) is imports_it
    assert (done.returncode == 0) is not imports_it, done.stderr


def test_they_can_be_imported_afterwards(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By a provider's own code, which has a use for them."""
    from connvault_jupyter.broker.lean_imports import without_format_libraries

    (tmp_path / "rfc3987_syntax.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "rfc3987_syntax", raising=False)
    with without_format_libraries(), pytest.raises(ImportError):
        import rfc3987_syntax  # type: ignore[import-not-found]
    import rfc3987_syntax

    assert rfc3987_syntax.__file__ == str(tmp_path / "rfc3987_syntax.py")
    monkeypatch.delitem(sys.modules, "rfc3987_syntax")
