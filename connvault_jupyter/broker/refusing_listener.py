"""Tells requesters why there is no broker, at the path where one would be. It does nothing else and has no secrets.

Without it, a missing broker looks like one that is being restarted.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path

from ..contracts.frames import encode
from ..errors import ConnvaultError
from .socket_dir import bind

# A requester sends its hello at once.
_HELLO_S = 1.0


class RefusingListener:
    """Listens at `path` until `close`, and answers each requester with `reason`.

    Raises: BrokerUnavailable: (from the constructor) the socket can't be created.
    """

    def __init__(self, path: Path, reason: ConnvaultError) -> None:
        from .operator_channel import refusal

        self._answer = encode(refusal(reason))
        self._bound = bind(path)
        threading.Thread(target=self._run, name="connvault-refusing", daemon=True).start()

    def close(self) -> None:
        # Closing alone does not wake a thread that waits in accept(2).
        with contextlib.suppress(OSError):
            self._bound.listener.shutdown(socket.SHUT_RDWR)
        self._bound.close()

    def _run(self) -> None:
        while True:
            try:
                stream, _ = self._bound.listener.accept()
            except OSError:
                return
            with stream, contextlib.suppress(OSError):
                stream.settimeout(_HELLO_S)
                # Unread data would reset the connection, and the answer could be lost.
                stream.recv(4096)
                stream.sendall(self._answer)
