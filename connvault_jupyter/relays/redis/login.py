"""Logs in to a Redis server: connects, AUTH, SELECT. The server's errors become our codes; its text is dropped."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Callable

from ...errors import (
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from ..downstream import Login
from ..limits import Limits, left_s
from ..upstream import connect, encrypt, shut
from .resp import encode

DEFAULT_PORT = 6379
DEFAULT_USER = "default"

# A line, or the answer to HELLO with the names of a dozen modules.
_MAX_ANSWER_BYTES = 16 * 1024

_VERSION = re.compile(
    rb"\$6\r\nserver\r\n\$\d{1,2}\r\n([a-z]{1,20})\r\n\$7\r\nversion\r\n\$\d{1,2}\r\n(\d[\d.]{0,18})\r\n"
)
_NAMES = {b"redis": "Redis", b"valkey": "Valkey", b"keydb": "KeyDB", b"dragonfly": "Dragonfly"}


def log_in(
    login: Login, limits: Limits, adopt: Callable[[socket.socket], None] | None = None
) -> socket.socket:
    """A logged-in connection with its database selected. `adopt` receives it as soon as it is connected.

    Raises: UpstreamUnreachable, UpstreamRefused, UpstreamTimeout, UpstreamTlsFailed, UpstreamAuthFailed; what `adopt`
        raises.
    """
    fields = login.fields
    stream = connect(str(fields["host"]), int(fields.get("port") or DEFAULT_PORT), timeout_s=limits.connect_s)
    deadline = time.monotonic() + limits.login_s
    try:
        if adopt is not None:
            adopt(stream)
        if fields.get("sslmode") != "disable":
            stream = encrypt(stream, fields, timeout_s=limits.login_s)
        _authenticate(_Answers(stream, deadline), login)
        stream.settimeout(None)
    except BaseException:
        shut(stream)
        raise
    return stream


def server_of(stream: socket.socket, limits: Limits) -> str:
    """The server's product and version, "Redis 7.0.15"; empty if it does not report them (before Redis 6).

    Raises: UpstreamRefused, UpstreamTimeout.
    """
    answers = _Answers(stream, time.monotonic() + limits.login_s)
    # Every user may call HELLO, but not INFO.
    answers.send(encode([b"HELLO", b"2"]))
    match = answers.search(_VERSION)
    return "" if match is None else f"{_NAMES.get(match[1], 'Redis')} {match[2].decode()}"


def _authenticate(answers: _Answers, login: Login) -> None:
    """One round trip: all commands at once, then their answers."""
    user, password = login.fields.get("user"), login.secrets.get("password")
    database = int(login.fields.get("database") or 0)
    commands = []
    if password is not None or user:
        name = [str(user).encode()] if user else []
        commands.append([b"AUTH", *name, (password or "").encode()])
    # A login without a password must be tested too; every server has PING, but a cluster has no SELECT.
    commands.append([b"SELECT", b"%d" % database] if database else [b"PING"])
    answers.send(b"".join(map(encode, commands)))
    said = [answers.line() for _ in commands]
    if len(said) == 2 and said[0] != b"+OK":
        raise _refused(said[0], UpstreamAuthFailed())
    last = said[-1]
    # A user that may not PING is logged in nevertheless.
    if not last.startswith(b"+") and not (last.startswith(b"-NOPERM") and not database):
        raise _refused(
            last,
            UpstreamRefused(
                "The server refused the database. Check its number and what the user is allowed to do."
            ),
        )
    if answers.left:
        raise UpstreamRefused(_NO_REDIS)


_NO_REDIS = "The server did not answer with the Redis protocol. Check host, port and encryption."


def _refused(line: bytes, otherwise: Exception) -> Exception:
    if not line.startswith((b"-", b"+")):
        return UpstreamRefused(_NO_REDIS)
    if line.startswith((b"-NOAUTH", b"-WRONGPASS")):
        return UpstreamAuthFailed()
    if line.startswith((b"-LOADING", b"-MASTERDOWN", b"-BUSY", b"-DENIED", b"-ERR max number")):
        return UpstreamRefused(
            "The server is busy, or does not accept connections from here. Try again later."
        )
    return otherwise


class _Answers:
    """Reads answers, with one deadline for all of them."""

    def __init__(self, stream: socket.socket, deadline: float) -> None:
        self._stream = stream
        self._deadline = deadline
        self.left = b""

    def send(self, data: bytes) -> None:
        try:
            self._stream.settimeout(left_s(self._deadline))
            self._stream.sendall(data)
        except TimeoutError:
            raise UpstreamTimeout from None
        except OSError:
            raise UpstreamUnreachable from None

    def line(self) -> bytes:
        """The next line, without its end."""
        while b"\r\n" not in self.left:
            self._more()
        line, _, self.left = self.left.partition(b"\r\n")
        return line

    def search(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """Reads until it matches; `None`: the answer is an error."""
        while True:
            match = pattern.search(self.left)
            if match is not None or (self.left.startswith(b"-") and b"\r\n" in self.left):
                return match
            self._more()

    def _more(self) -> None:
        if len(self.left) > _MAX_ANSWER_BYTES:
            raise UpstreamRefused(_NO_REDIS)
        data = b""
        try:
            self._stream.settimeout(left_s(self._deadline))
            data = self._stream.recv(4096)
        except TimeoutError:
            raise UpstreamTimeout from None
        except OSError:
            pass
        if not data:
            raise UpstreamRefused("The server closed the connection. Check port and encryption.")
        self.left += data
