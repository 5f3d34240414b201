"""A process that ends while key slots change leaves the old vault or the new one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_wherever_a_change_of_slots_is_killed_the_vault_is_old_or_new(tmp_path: Path) -> None:
    """At each write and each commit: every slot that should opens it, every secret opens, the record is whole."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.services.slot_crashes", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    points = json.loads(done.stdout)
    assert points.keys() == {"add", "remove", "rotate", "passphrase", "unlock"}
    # The vault, the record, a commit; with new keys every secret, document and grant besides.
    assert all(found >= 3 for found in points.values()), points
    assert sum(points.values()) >= 90, points
