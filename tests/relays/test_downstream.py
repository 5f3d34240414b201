"""A client that is cut: its upstream ends too, for the server as well."""

from __future__ import annotations

import select
import socket

import pytest

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.relays.downstream import Downstream, Handle
from connvault_jupyter.relays.limits import LIMITS


def _downstream(stream: socket.socket) -> Downstream:
    return Downstream(
        stream=stream,
        handle=Handle("h", "/nowhere", "token", {}),
        over_tcp=False,
        limits=LIMITS,
        ask=lambda _downstream: pytest.fail("nobody asks"),
        hand=lambda _downstream, _descriptor: pytest.fail("nothing is passed on"),
    )


def test_a_server_learns_of_a_cut_also_while_it_waits_for_room() -> None:
    """A mere end of our half is not seen by who is in the middle of sending: reading on makes no room any more."""
    ours, theirs = socket.socketpair()
    with socket.create_server(("127.0.0.1", 0)) as listening, ours, theirs:
        upstream = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        with server:
            server.setblocking(False)
            _fill(server)
            downstream = _downstream(ours)
            downstream.adopt(upstream)
            downstream.cut()
            while upstream.recv(1 << 20):
                pass
            upstream.close()
            downstream.close()
            poll = select.poll()
            poll.register(server, 0)
            assert poll.poll(5000), "the server still believes in the connection"


def test_nothing_more_is_opened_for_a_client_that_was_cut() -> None:
    """A login that was under way ends with it."""
    ours, theirs = socket.socketpair()
    upstream, server = socket.socketpair()
    with ours, theirs, upstream, server:
        downstream = _downstream(ours)
        downstream.cut()
        with pytest.raises(HandleInvalid):
            downstream.login()
        with pytest.raises(HandleInvalid):
            downstream.adopt(upstream)
        assert server.recv(1) == b""
        downstream.close()


def _fill(stream: socket.socket) -> None:
    """Until it takes nothing more, and no acknowledgement is on its way either."""
    poll = select.poll()
    poll.register(stream, select.POLLOUT)
    while poll.poll(600):
        try:
            stream.send(b"x" * 65536)
        except BlockingIOError:
            continue
