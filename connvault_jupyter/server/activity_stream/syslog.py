"""Syslog (RFC 5424): to the machine's own socket, over UDP (RFC 5426), or over TCP, octets counted (RFC 6587 3.4.1).

The message is one JSON object in ASCII. Nothing here encrypts: to another machine, send by the local syslog daemon,
which can (RFC 5425), or by OTLP over https. None of them has an answer: a message that was accepted by the system
counts as sent. Over TCP, a connection that was closed since the last message is noticed before the next one.
"""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Mapping
from typing import Any

from .destinations import Destination, Sent
from .messages import severity

# RFC 5424 table 1: 13 is "log audit". Table 2: the severities.
_FACILITY = 13
_SEVERITIES = {"info": 6, "notice": 5, "warning": 4}

_TIMEOUT_S = 10.0

_TOO_LONG = frozenset({errno.EMSGSIZE})


class SyslogSender:
    """Connects when it first sends, and again after an error."""

    def __init__(self, to: Destination, *, hostname: str | None = None) -> None:
        self._to = to
        self._hostname = _printable(hostname or socket.gethostname(), 255)
        self._socket: socket.socket | None = None

    def send(self, messages: list[dict[str, Any]]) -> Sent:
        """As `Sender.send`. One that is too long for a datagram is refused."""
        if self._to.scheme == "tcp":
            lines = [line(one, self._hostname) for one in messages]
            self._write(b"".join(b"%d %b" % (len(one), one) for one in lines))
            return Sent(len(messages))
        refused = 0
        for number, one in enumerate(messages):
            try:
                self._write(line(one, self._hostname))
            except OSError as exc:
                if exc.errno in _TOO_LONG:
                    refused += 1
                elif number == 0:
                    raise
                else:
                    # The next call finds out whether it lasts.
                    return Sent(number, refused)
        return Sent(len(messages), refused)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _write(self, content: bytes) -> None:
        if self._socket is not None and self._has_ended(self._socket):
            self.close()
        if self._socket is None:
            self._socket = self._connected()
        try:
            self._socket.sendall(content)
        except OSError as exc:
            if exc.errno not in _TOO_LONG:
                self.close()
            raise

    def _has_ended(self, connection: socket.socket) -> bool:
        """Whether the other end was closed, as when the daemon is restarted. The system would take what is written next
        all the same, and it would be lost."""
        if self._to.scheme != "tcp":
            return False
        connection.setblocking(False)
        try:
            # Syslog answers nothing: what some daemons say is dropped.
            while connection.recv(4096):
                pass
        except BlockingIOError:
            connection.settimeout(_TIMEOUT_S)
            return False
        except OSError:
            return True
        return True

    def _connected(self) -> socket.socket:
        to = self._to
        if to.scheme == "tcp":
            return socket.create_connection((to.host, to.port), timeout=_TIMEOUT_S)
        if to.scheme == "unix":
            return _datagrams(socket.AF_UNIX, to.path)
        family, _, _, _, address = socket.getaddrinfo(to.host, to.port, type=socket.SOCK_DGRAM)[0]
        return _datagrams(family, address)


def line(message: Mapping[str, Any], hostname: str) -> bytes:
    """`<PRI>1 TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA MSG`"""
    priority = _FACILITY * 8 + _SEVERITIES[severity(message)]
    kind = _printable(str(message["type"]), 32)
    at = _printable(str(message["at"]), 64)
    return f"<{priority}>1 {at} {hostname} connvault - {kind} - {json.dumps(message)}".encode("ascii")


def _datagrams(family: int, address: Any) -> socket.socket:
    made = socket.socket(family, socket.SOCK_DGRAM)
    try:
        made.settimeout(_TIMEOUT_S)
        made.connect(address)
    except OSError:
        made.close()
        raise
    return made


def _printable(text: str, limit: int) -> str:
    """RFC 5424 6: PRINTUSASCII, without blanks; `-` if there is nothing."""
    return "".join(char for char in text if "!" <= char <= "~")[:limit] or "-"
