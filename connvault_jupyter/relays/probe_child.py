"""The child of a connection test: reads one task, tries one login, prints one result, ends. Never import pydantic here.

Task on standard input, JSON: `client`, `fields`, `secrets`, `timeout_s`. Result on standard output: `LoginResult`.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import signal
import sys
import time
from dataclasses import replace
from typing import Any

from .login_result import UNTRIED, LoginResult

_PR_SET_DUMPABLE = 4
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """One test, from standard input to standard output."""
    _harden()
    # Libraries that print must not get between the lines, nor onto anybody's screen.
    answer = os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    task = json.loads(sys.stdin.buffer.read())
    if hasattr(signal, "alarm"):
        # Ends by itself too, should whoever waits for it be gone.
        signal.alarm(math.ceil(task["timeout_s"]) + 1)
    os.write(answer, tried(task).to_json())


def tried(task: dict[str, Any]) -> LoginResult:
    """The login that the task describes, tried once."""
    started = time.monotonic()
    result = _log_in(task["client"], task["fields"], task["secrets"], float(task["timeout_s"]))
    return replace(result, elapsed_ms=int((time.monotonic() - started) * 1000))


def _log_in(client: str, fields: dict[str, Any], secrets: dict[str, str], timeout_s: float) -> LoginResult:
    if client == "postgresql":
        try:
            import psycopg  # noqa: F401 - imported before the clock of the login matters
        except ImportError:
            return LoginResult(UNTRIED, "extra_postgresql")
        from . import postgresql

        return postgresql.log_in(fields, secrets, timeout_s)
    if client == "http":
        from . import http

        return http.log_in(fields, secrets, timeout_s)
    return LoginResult(UNTRIED, "no_such_client")


def _harden() -> None:
    """No core dump, no look into this process by others of the same user; ends with whoever started it."""
    if sys.platform.startswith("linux"):
        prctl = ctypes.CDLL(None).prctl
        prctl(_PR_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0)
        prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(int(signal.SIGKILL)), 0, 0, 0)
