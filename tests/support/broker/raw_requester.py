"""The requester's end of the channel, spoken frame by frame: for tests of what no honest client would send."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames

DEADLINE_S = 20.0


class RawRequester:
    """One connection. `hello` first, then `ask`."""

    def __init__(self, path: str) -> None:
        self.stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.stream.settimeout(DEADLINE_S)
        try:
            self.stream.connect(path)
        except OSError:
            self.stream.close()
            raise

    def hello(self, *, protocol: Any = frames.PROTOCOL, version: Any = __version__) -> dict[str, Any]:
        frames.send(self.stream, {"protocol": protocol, "version": version})
        return self.answer()

    def ask(self, operation: str, body: Any) -> dict[str, Any]:
        frames.send(self.stream, {"op": operation, "body": body})
        return self.answer()

    def answer(self) -> dict[str, Any]:
        found = frames.receive(self.stream)
        assert found is not None, "the broker hung up"
        return found

    def hung_up(self) -> bool:
        """Whether the broker closes the connection; waits for it."""
        try:
            return frames.receive(self.stream) is None
        except ConnectionResetError:
            return True

    def close(self) -> None:
        self.stream.close()


def lets_in(path: str) -> bool:
    """Whether a broker serves at `path`: bound is not enough, nor is its process being there."""
    try:
        with asking(path):
            return True
    except (OSError, AssertionError):
        return False


@contextmanager
def asking(path: str) -> Iterator[RawRequester]:
    """A connection after its hello."""
    asker = RawRequester(path)
    try:
        assert asker.hello()["ok"] is True
        yield asker
    finally:
        asker.close()
