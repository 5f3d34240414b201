"""The broker process of a running Jupyter Server, found from outside, to be killed or looked at."""

from __future__ import annotations

import os
import re
import signal
import time

import psutil  # type: ignore[import-untyped]

from ..browser.jupyter_server import JupyterServer
from .processes import wait_until

_RUNS_AS = re.compile(r"broker runs as pid (\d+)")


def broker_of(server: JupyterServer, *, other_than: int | None = None) -> int:
    """The pid of the broker that answered the server last; waits for one that is `other_than` this pid."""

    def latest() -> int | None:
        found = [int(pid) for pid in _RUNS_AS.findall(server.log())]
        return found[-1] if found and found[-1] != other_than else None

    return wait_until(latest, deadline_s=20, what="the broker")


def kill_broker(server: JupyterServer) -> tuple[int, float]:
    """`kill -9`; its pid, and when (`time.monotonic()`, which all processes of a machine share on Linux and macOS)."""
    pid = broker_of(server)
    at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    return pid, at


def runs(pid: int) -> bool:
    """Whether the process is there and no zombie: a container's first process may never reap an orphan."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
