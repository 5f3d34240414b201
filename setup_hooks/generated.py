"""Files that are written by a script and checked by a test: one way to do both.

What a file should contain is the business of the script that calls `run`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def run(module: str, outputs: Mapping[Path, str], arguments: list[str] | None = None) -> int:
    """Writes `outputs` where they differ from what is there, or with `--check` only reports them.

    `module` is how the script is called: `setup_hooks.<name>`. Returns the exit status: 1 if `--check` found a
    difference, otherwise 0.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--check", action="store_true", help="write nothing, fail on a difference")
    check = parser.parse_args(arguments).check
    stale = [path for path, text in outputs.items() if not path.exists() or path.read_text("utf-8") != text]
    for path in stale:
        shown = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
        if check:
            print(f"{shown} is out of date: python -m {module}")
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(outputs[path], "utf-8")
            print(f"wrote {shown}")
    return 1 if check and stale else 0
