"""A measuring process that the broker takes for a notebook's kernel, so that what it starts may use its handles too."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connvault_jupyter.contracts.frames import SOCKET_VARIABLE
from tests.support.broker.operator import Operator
from tests.support.broker.processes import clean_environment
from tests.support.relays.relay_process import relays_below

from .children import ROOT


class KernelProcess:
    """Takes orders one after the other, each in the same process: its handles and connections stay open between."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, what: str, **arguments: Any) -> Any:
        """What `contenders` or `relay_contenders` finds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, **arguments}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the measuring process has ended"
        return json.loads(line)


@contextmanager
def kernel_process(operator: Operator, socket_path: str, home: Path) -> Iterator[KernelProcess]:
    """One, known to the broker as the kernel of a saved notebook."""
    environment = {**clean_environment(home), SOCKET_VARIABLE: socket_path}
    with subprocess.Popen(
        [sys.executable, "-m", "tests.bench.orders"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        cwd=ROOT,
        text=True,
    ) as process:
        row = {
            "kernel_id": "bench",
            "pid": process.pid,
            "display_name": "Python 3",
            "documents": [{"path": "bench.ipynb", "type": "notebook", "saved": True}],
        }
        operator.call("supervision.kernels", {"kernels": [row]})
        try:
            yield KernelProcess(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            process.wait(30)


def workers_of(broker_pid: int) -> list[int]:
    """The relays' workers of a broker."""
    return [worker.pid for worker in relays_below(broker_pid)[1]]
