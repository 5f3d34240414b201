"""Processes that count as kernels of notebooks, without a Jupyter Server: the operator says so, as a server would."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .operator import Operator
from .requester import RequesterProcess, requester_process


class Notebooks:
    """The kernels that one broker knows of. Each notebook is saved and has a kernel of its own."""

    def __init__(self, operator: Operator, *, home: Path, socket_path: str) -> None:
        self.operator = operator
        self.socket_path = socket_path
        self._home = home
        self._rows: list[dict[str, Any]] = []

    @contextmanager
    def open(self, path: str, *, kernel_id: str = "") -> Iterator[RequesterProcess]:
        """A process that is the kernel of the notebook at `path`, until the block ends."""
        with requester_process(self._home, self.socket_path) as process:
            row = {
                "kernel_id": kernel_id or f"kernel-of-{path}",
                "pid": process.process.pid,
                "display_name": "Python 3",
                "documents": [{"path": path, "type": "notebook", "saved": True}],
            }
            self._rows.append(row)
            self.tell()
            try:
                yield process
            finally:
                self._rows.remove(row)
                self.tell()

    @contextmanager
    def outside(self) -> Iterator[RequesterProcess]:
        """A process that is no kernel's child."""
        with requester_process(self._home, self.socket_path) as process:
            yield process

    def asked(self) -> list[dict[str, Any]]:
        """The questions that the person has answered so far."""
        return self.operator.asked

    def record(self, **filters: Any) -> list[dict[str, Any]]:
        """Rows of the record, newest first."""
        found: list[dict[str, Any]] = self.operator.call("audit.list", {"limit": 500, **filters})["events"]
        return found

    def tell(self) -> None:
        """What a server does at each change, and after a broker was restarted."""
        self.operator.call("supervision.kernels", {"kernels": self._rows})
