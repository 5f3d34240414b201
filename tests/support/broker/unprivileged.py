"""Runs code without root's privileges: root may look into any process, so tests of what others can't see need this.

The user id stays (the interpreter may lie in a folder that only root may enter). Root is above others by its
capabilities(7), and a process without them is to its user's processes what any user's process is.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from .processes import clean_environment

_REPOSITORY = Path(__file__).resolve().parents[3]

# 24: PR_CAPBSET_DROP; exec gives root nothing back that is not in the bounding set. For others it fails, and they have
# no capabilities anyway.
_DROP = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""

_CHECK = """
with open("/proc/self/status") as _status:
    assert "CapEff:\\t0000000000000000" in _status.read()
"""


def run_unprivileged(
    code: str, *arguments: str, home: Path, timeout_s: float = 60, inside: Sequence[str] = ()
) -> str:
    """What the code prints. `inside`: a command that runs it in surroundings of its own. Linux."""
    environment = {**clean_environment(home), "PYTHONPATH": str(_REPOSITORY)}
    done = subprocess.run(
        [*inside, sys.executable, "-c", _DROP, _CHECK + code, *arguments],
        env=environment,
        cwd="/",
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
