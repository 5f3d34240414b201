"""A notebook's kernel under a real broker, in which other programs are run: what they use, the notebook uses."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.requester import RequesterProcess

# Its own process group: what hangs, or is there when the kernel is ended, is ended with all that it has started.
_CHILD = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit())

def run(argv, environment, cwd, log, deadline_s):
    with open(log, "wb") as output:
        child = subprocess.Popen(argv, env={**os.environ, **environment}, cwd=cwd, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=output, start_new_session=True)
        try:
            return child.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if child.returncode is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
"""


class Kernel:
    """`cell` runs lines in it; `run` another program below it."""

    def __init__(self, operator: Operator, process: RequesterProcess, socket: str) -> None:
        self._operator = operator
        self._process = process
        self._socket = socket
        process.run(_CHILD)

    def define(self, name: str, kind: str, fields: Mapping[str, Any], secrets: Mapping[str, str]) -> None:
        """The person makes a connection."""
        self._operator.create(name, kind, dict(fields), dict(secrets))

    def cell(self, code: str) -> Any:
        return self._process.run(code)

    def run(
        self,
        argv: Sequence[str],
        *,
        environment: Mapping[str, str],
        cwd: Path,
        log: Path,
        deadline_s: float,
    ) -> int | None:
        """The exit status; `None` when it had to be ended."""
        arguments = (list(argv), dict(environment), str(cwd), str(log), deadline_s)
        status: int | None = self.cell(f"run{arguments!r}")
        return status


@contextmanager
def kernel() -> Iterator[Kernel]:
    """A person says yes to all that is asked, until the kernel stops."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-", ignore_cleanup_errors=True) as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
        Notebooks(operator, home=Path(folder), socket_path=path).open("report.ipynb") as process,
    ):
        yield Kernel(operator, process, path)
