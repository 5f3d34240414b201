"""A web service to measure with: as little work as Python can do for a request. `python -m ... PORT`."""

from __future__ import annotations

import socket
import sys
import threading

_SMALL = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_KINDS = {b"large": b"application/octet-stream", b"text": b"text/plain"}
_BLOCK = memoryview(b"0123456789abcdef" * (1 << 16))


def serve(stream: socket.socket) -> None:
    """`/large/N`: a file of N bytes; `/text/N`: a text of so many. Any other: two."""
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    buffer = b""
    with stream:
        while True:
            while b"\r\n\r\n" not in buffer:
                data = stream.recv(65536)
                if not data:
                    return
                buffer += data
            head, _, buffer = buffer.partition(b"\r\n\r\n")
            path = head.split(b" ", 2)[1]
            kind = _KINDS.get(path.split(b"/")[1])
            if kind is None:
                stream.sendall(_SMALL)
            else:
                _send(stream, kind, int(path.rpartition(b"/")[2]))


def _send(stream: socket.socket, kind: bytes, size: int) -> None:
    stream.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, size))
    while size > 0:
        size -= stream.send(_BLOCK[:size])


def main(port: int) -> None:
    with socket.create_server(("127.0.0.1", port), backlog=256) as listener:
        while True:
            stream, _ = listener.accept()
            threading.Thread(target=serve, args=(stream,), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]))
