"""Reads a kernel's output from the server's WebSocket as a browser tab does, and counts its bytes.

`python -m tests.bench.flood_reader`: orders (JSON) are the first line of stdin; each further line is answered with the
bytes so far.
"""

from __future__ import annotations

import json
import sys
import threading
from typing import Any

import websocket

# What JupyterLab speaks: the server passes the parts of a message on without parsing them.
PROTOCOL = "v1.kernel.websocket.jupyter.org"


class Reader:
    def __init__(self, url: str, token: str) -> None:
        self.bytes = 0
        self._stream: Any = websocket.create_connection(
            url, header=[f"Authorization: token {token}"], subprotocols=[PROTOCOL]
        )
        assert self._stream.getsubprotocol() == PROTOCOL
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        while True:
            _, data = self._stream.recv_data()
            self.bytes += len(data)


if __name__ == "__main__":
    orders = json.loads(sys.stdin.readline())
    reader = Reader(orders["url"], orders["token"])
    for _ in sys.stdin:
        print(reader.bytes, flush=True)
