"""Real processes for tests: started with a log file, waited for with a deadline, ended by their own pid."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

# Asked to end, a Jupyter Server with kernels needs 1-3 s; after this it is killed.
END_GRACE_S = 10.0

# What a child may know of the person who runs the tests: how to find programs, and in which language to speak.
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV", "SSL_CERT_FILE", "TMPDIR")


def clean_environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment with its own HOME and XDG folders and nothing of the caller's Jupyter, keyring or PG settings.

    The folder of this Python comes first on PATH, so that `jupyter` and `python` are the tested ones.
    """
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    runtime = home / ".run"
    runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
    return {
        **passed_on,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), passed_on.get("PATH", os.defpath)]),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_RUNTIME_DIR": str(runtime),
        # Its absence makes libraries look for a bus of the person's own.
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "PYTHONUNBUFFERED": "1",
        **(extra or {}),
    }


@contextmanager
def running(
    argv: Sequence[str],
    *,
    log_file: Path,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: bytes | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `argv` for the length of the block; stdout and stderr go to `log_file`."""
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=dict(env),
            cwd=cwd,
        )
    try:
        if process.stdin is not None:
            process.stdin.write(stdin or b"")
            process.stdin.close()
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], grace_s: float = END_GRACE_S) -> None:
    """SIGTERM, and SIGKILL for a process that does not listen. Returns when it is gone."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


@contextmanager
def ends(*, within_s: float = 30.0) -> Iterator[None]:
    """What happens inside has to end, on a machine that has other work as well: how fast it is says a benchmark.

    Choose what would be waited for without the bound well over it.
    """
    began = time.monotonic()
    yield
    taken = time.monotonic() - began
    assert taken < within_s, f"ended after {taken:.1f} s instead of {within_s} s"


def wait_until(
    probe: Callable[[], T | None],
    *,
    deadline_s: float,
    what: str,
    process: subprocess.Popen[bytes] | None = None,
    log_file: Path | None = None,
) -> T:
    """The first truthy answer of `probe`. Gives up at the deadline, or at once when `process` has ended."""
    deadline = time.monotonic() + deadline_s
    while True:
        answer = probe()
        if answer:
            return answer
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            why = (
                f"the process ended with {process.returncode}"
                if ended and process
                else f"after {deadline_s} s"
            )
            tail = "" if log_file is None else f"\n{log_file}, its end:\n{_tail(log_file)}"
            raise AssertionError(f"waited in vain for {what}: {why}{tail}")
        time.sleep(0.02)


def _tail(log_file: Path, characters: int = 4000) -> str:
    return log_file.read_text(errors="replace")[-characters:] if log_file.exists() else ""
