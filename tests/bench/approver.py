"""A person by rule at a real server's door: holds the events socket as a tab does, and answers every question."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import websocket

from tests.support.browser.jupyter_server import JupyterServer
from tests.support.browser.rest import PREFIX, Rest


@contextmanager
def approver(server: JupyterServer, decision: str = "session") -> Iterator[None]:
    """Answers `decision` to whatever is asked during the block."""
    stream = events(server)
    thread = threading.Thread(target=_answer_all, args=(stream, Rest(server), decision), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stream.close()
        thread.join(10)


def events(server: JupyterServer) -> Any:
    """An open events socket: one more tab that could show a question."""
    url = f"{server.url.replace('http', 'ws', 1)}{PREFIX}/events"
    return websocket.create_connection(url, header=[f"Authorization: token {server.token}"])


def _answer_all(stream: Any, rest: Rest, decision: str) -> None:
    while True:
        try:
            text = stream.recv()
        except (websocket.WebSocketException, OSError):
            return
        if not text:
            return
        if json.loads(text)["event"] == "access_request:asked":
            for question in rest.questions():
                rest.decide(question, decision)
