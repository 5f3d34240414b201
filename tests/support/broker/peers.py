"""Real processes that connect to a real socket, and what finds out who they are."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.broker.kernels import Kernels
from connvault_jupyter.broker.os_processes import LinuxProcesses, Peer, PidNamespace
from connvault_jupyter.broker.peers import Peers
from connvault_jupyter.contracts.supervision import Document, KernelRow, KernelTable

# Connects, says so, and stays until its standard input ends.
CONNECT = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"

# The same, one process further down.
VIA_CHILD = "import subprocess,sys; subprocess.run([sys.executable,'-c',sys.argv[2],sys.argv[1]])"


class Here:
    """A listening socket and what finds out about its peers."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.path = str(root / "s")
        self.processes = LinuxProcesses()
        self.kernels = Kernels(processes=self.processes)
        self.manned: set[PidNamespace] = set()
        self.peers = Peers(
            processes=self.processes,
            kernels=self.kernels,
            server_root=str(root),
            owner_pid=os.getpid(),
            namespace=self.processes.namespace(),
            somebody_at=self.manned.__contains__,
        )
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._listener.settimeout(20)

    def accept(self) -> tuple[socket.socket, Peer]:
        stream, _ = self._listener.accept()
        return stream, self.processes.peer(stream)

    @contextmanager
    def connected(self, argv: list[str], **kwargs: Any) -> Iterator[tuple[subprocess.Popen[bytes], Peer]]:
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, **kwargs)
        with process:
            stream, peer = self.accept()
            with stream:
                yield process, peer
            peer.close()
            assert process.stdin is not None
            process.stdin.close()

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Here]:
    """A server root of the test's own."""
    found = Here(tmp_path)
    yield found
    found.close()


def row(pid: int | None, *documents: Document, kernel_id: str = "k1", local: bool = True) -> KernelRow:
    return KernelRow(
        kernel_id=kernel_id, pid=pid, display_name="Python 3", local=local, documents=list(documents)
    )


def notebook(path: str = "a.ipynb", *, saved: bool = True) -> Document:
    return Document(path=path, type="notebook", saved=saved)


def told(here: Here, *rows: KernelRow) -> None:
    here.kernels.replace(KernelTable(kernels=list(rows)))


def kernel(here: Here) -> list[str]:
    return [sys.executable, "-c", CONNECT, here.path]
