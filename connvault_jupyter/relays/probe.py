"""Tries a login in a child process (the port `Probe`): a client library that hangs, crashes or leaks does it there.

Secrets reach the child on its standard input and nowhere else. Which protocol is spoken is `probe_child`'s business.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..contracts.connections import TestOutcome
from ..contracts.providers import ProviderDefinition
from ..services.ports import Clock
from .login_result import TIMEOUT, UNTRIED, LoginResult, parse_result

# A far database behind a VPN logs in within three seconds; nobody watches a button for longer than this.
TIMEOUT_S = 10.0

# The interpreter and the client library have to start before the login begins: about 0.3 s, more on a busy machine.
_START_S = 5.0

_MAX_ANSWER_BYTES = 4096

# How to find libraries and certificates. What is missing on purpose: PG* (PGHOSTADDR would send the password
# elsewhere), proxies, and whatever else the server was started with.
_PASSED_ON = (
    "PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)  # fmt: skip

# -I: neither the folder it starts in, nor the person's own site-packages, nor PYTHON* decide what is imported.
_BOOTSTRAP = (
    "import sys; sys.path[:] = sys.argv[1:]; from connvault_jupyter.relays.probe_child import main; main()"
)

_log = logging.getLogger(__name__)


class ChildProbe:
    """Logs in once at the given destination, in a process of its own, bounded in time.

    Args:
        timeout_s: for the login itself; then the child is killed.
    """

    def __init__(self, *, clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        self._clock = clock
        self._timeout_s = timeout_s

    def __call__(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> TestOutcome:
        """How it went. An ordinary failure is an outcome; nothing is raised."""
        at = self._clock()
        result = self._run(provider, fields, secrets)
        return TestOutcome(
            ok=result.code is None,
            at=at,
            code=result.code,
            detail=result.detail,
            elapsed_ms=result.elapsed_ms,
            server=result.server,
        )

    def _run(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> LoginResult:
        client = next((found.client for found in provider.deliveries if found.kind == "login"), "")
        task = json.dumps(
            {"client": client, "fields": dict(fields), "secrets": dict(secrets), "timeout_s": self._timeout_s}
        )
        started = time.monotonic()
        try:
            child = subprocess.Popen(  # noqa: S603 - this interpreter, with code of our own
                [sys.executable, "-I", "-c", _BOOTSTRAP, *_import_path()],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # A traceback there could hold the password.
                stderr=subprocess.DEVNULL,
                cwd=os.path.abspath(os.sep),
                env=_environment(),
            )
        except OSError as error:
            _log.warning("no process for a connection test: %s", type(error).__name__)
            return LoginResult(UNTRIED, "crashed")
        with child:
            try:
                answer, _ = child.communicate(task.encode("ascii"), timeout=self._timeout_s + _START_S)
            except subprocess.TimeoutExpired:
                return LoginResult(TIMEOUT, elapsed_ms=_milliseconds(started))
            finally:
                child.kill()
        if child.returncode == -signal.SIGALRM:
            return LoginResult(TIMEOUT, elapsed_ms=_milliseconds(started))
        result = parse_result(answer) if len(answer) <= _MAX_ANSWER_BYTES else None
        if result is None:
            _log.warning("a connection test ended with status %s and no answer", child.returncode)
            return LoginResult(UNTRIED, "crashed", elapsed_ms=_milliseconds(started))
        return result


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # libpq's own words are told apart by their English text.
    return {**kept, "LC_ALL": "C"}


def _import_path() -> list[str]:
    """This process's own import path, so that an editable install is found with its libraries; absolute only."""
    here = str(Path(__file__).resolve().parents[2])
    return [*dict.fromkeys([*(path for path in sys.path if os.path.isabs(path)), here])]


def _milliseconds(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
