"""A kernel of a running Jupyter Server, driven as a page does it: REST for its life, a WebSocket for its cells.

No browser and no ZeroMQ. What a cell may do and who answers its questions is not known here.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import websocket

from .jupyter_server import JupyterServer

# A kernel's first cell on two busy cores.
CELL_DEADLINE_S = 60.0

# The server holds a WebSocket back until its kernel answers, and after 60 s opens it without an answer.
CONNECT_DEADLINE_S = 40.0


class CellFailed(Exception):
    """The cell raised: `kind` is the error's type by name, `message` its text."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.message = message


@dataclass
class RemoteKernel:
    """`run` is `begin` and `finish`; between the two other things can happen. One cell at a time."""

    server: JupyterServer
    id: str
    session_id: str
    socket: websocket.WebSocket = field(repr=False)
    _waiting_for: str = ""

    def run(self, code: str, *, timeout_s: float = CELL_DEADLINE_S) -> str:
        """What the cell printed. Raises: CellFailed."""
        self.begin(code)
        return self.finish(timeout_s=timeout_s)

    def value(self, expression: str, *, timeout_s: float = CELL_DEADLINE_S) -> Any:
        """The expression's value, through JSON. Raises: CellFailed."""
        return json.loads(self.run(f"import json; print(json.dumps({expression}))", timeout_s=timeout_s))

    def begin(self, code: str) -> None:
        self._waiting_for = secrets.token_hex(8)
        header = {"msg_id": self._waiting_for, "msg_type": "execute_request", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "stop_on_error": False}
        message = {
            "channel": "shell",
            "header": {**header, "session": secrets.token_hex(8), "username": "", "date": ""},
            "parent_header": {},
            "metadata": {},
            "content": {**content, "user_expressions": {}, "allow_stdin": False},
            "buffers": [],
        }
        self.socket.send(json.dumps(message))

    def finish(self, *, timeout_s: float = CELL_DEADLINE_S) -> str:
        """What the cell printed, once the kernel is idle again. Raises: CellFailed."""
        printed: list[str] = []
        failed: CellFailed | None = None
        deadline = time.monotonic() + timeout_s
        while True:
            self.socket.settimeout(max(0.1, deadline - time.monotonic()))
            message = json.loads(self.socket.recv())
            if message.get("parent_header", {}).get("msg_id") != self._waiting_for:
                continue
            kind, content = message["header"]["msg_type"], message["content"]
            if kind == "stream" and content["name"] == "stdout":
                printed.append(content["text"])
            elif kind == "error":
                failed = CellFailed(content["ename"], content["evalue"])
            elif kind == "status" and content["execution_state"] == "idle":
                if failed is not None:
                    raise failed
                return "".join(printed)


@contextmanager
def notebook_kernel(server: JupyterServer, path: str) -> Iterator[RemoteKernel]:
    """A kernel for the notebook at `path` below the root (written before by `write_notebook`, or not saved at all)."""
    kernel = _started(server, path)
    try:
        yield kernel
    finally:
        kernel.socket.close()
        # The server may be gone, and its kernels with it.
        with contextlib.suppress(OSError):
            server.request("DELETE", f"api/sessions/{kernel.session_id}")


def _started(server: JupyterServer, path: str) -> RemoteKernel:
    mark = server.log_file.stat().st_size
    answer = server.request(
        "POST",
        "api/sessions",
        json={"path": path, "name": path, "type": "notebook", "kernel": {"name": "python3"}},
    )
    assert answer.ok, answer.text
    session = answer.json()
    kernel_id = session["kernel"]["id"]
    try:
        channels = _connect(server, f"api/kernels/{kernel_id}/channels?session_id={secrets.token_hex(8)}")
    except websocket.WebSocketTimeoutException:
        if not server.lost_a_port(since=mark):
            raise
        server.end_kernel(path)
        return _started(server, path)
    return RemoteKernel(server, kernel_id, session["id"], channels)


@contextmanager
def open_tab(server: JupyterServer) -> Iterator[None]:
    """Holds the events WebSocket as a browser tab does: without one nobody could be asked."""
    events = _connect(server, "connvault/api/v1/events")
    try:
        yield
    finally:
        events.close()


def _connect(server: JupyterServer, path: str) -> websocket.WebSocket:
    return websocket.create_connection(
        server.url.replace("http", "ws", 1) + path,
        header=[f"Authorization: token {server.token}"],
        timeout=CONNECT_DEADLINE_S,
    )
