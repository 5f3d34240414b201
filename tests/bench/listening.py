"""Programs that listen on loopback for the length of a measurement: upstreams, and what one would use instead of us."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.broker.processes import clean_environment, running, wait_until

from .children import ROOT


@contextmanager
def listening(command: Sequence[str], port: int, *, home: Path) -> Iterator[int]:
    """Its process, when it listens on that port. What it prints is in a file at `home`."""
    log_file = home / f"{port}.log"
    with running(command, log_file=log_file, env=clean_environment(home), cwd=ROOT) as process:
        wait_until(lambda: _listens(port), deadline_s=40, what=command[0], process=process, log_file=log_file)
        yield process.pid


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
