"""Our opener's connection to a handle's SSH agent: one thread waits for its end, and any other may end it."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

from connvault_jupyter.kernel.clients.ssh.agent import SshAgent


class Late:
    """A socket whose `recv` returns only when it is let go, as if its thread were not scheduled before that."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.waiting, self.go = threading.Event(), threading.Event()

    def recv(self, count: int) -> bytes:
        self.waiting.set()
        assert self.go.wait(10)
        return self.stream.recv(count)

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def test_a_socket_that_is_waited_for_is_closed_afterwards(tmp_path: Path) -> None:
    """Its number could be another one's before the waiting thread looks at it, which then waited for that."""
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        agent = SshAgent(path)
        late = Late(agent._stream)
        agent._stream = late  # type: ignore[assignment]
        waits = threading.Thread(target=agent.wait_for_end)
        waits.start()
        assert late.waiting.wait(10)
        closes = threading.Thread(target=agent.close)
        closes.start()
        closes.join(0.1)
        os.fstat(agent.fileno())
        late.go.set()
        for thread in (closes, waits):
            thread.join(10)
            assert not thread.is_alive()
        assert agent.fileno() < 0
