"""Virtual environments for what is tried. Libraries that disagree with each other get one each."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]

_VERSIONS = """
import importlib.metadata, json
print(json.dumps({d.metadata["Name"].lower().replace("_", "-"): d.version for d in importlib.metadata.distributions()}))
"""


class EnvironmentFailed(Exception):
    """pip could not install it."""


def ready(folder: Path, requirements: Sequence[str]) -> Path:
    """The environment's Python, with these packages and this project's checkout; made anew when they change."""
    stamp = folder / ".requirements"
    key = hashlib.sha256("\n".join([sys.version, *requirements]).encode()).hexdigest()
    python = folder / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == key):
        venv.create(folder, with_pip=True, clear=True)
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *requirements],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise EnvironmentFailed(f"{folder.name}: {done.stderr.strip()[-600:]}")
        # The notebook's side of the package needs nothing besides itself. Last on the path: its folder `tests` too.
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "zz-connvault.pth").write_text(f"{_ROOT}\n")
        stamp.write_text(key)
    return python


def versions(python: Path) -> dict[str, str]:
    """What is installed there, by normalised name."""
    told = subprocess.run([str(python), "-c", _VERSIONS], capture_output=True, text=True, check=True)
    found: dict[str, str] = json.loads(told.stdout)
    return found
