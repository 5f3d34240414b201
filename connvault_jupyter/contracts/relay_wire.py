"""What a handle's relay and its clients in the kernel agree on, besides the protocols that they speak: names of
sockets, the hand-over, the form of a refusal. For both ends, so standard library only; no I/O.

Evolution: the two ends may come from two installations. They have exchanged `frames.PROTOCOL` before a client learns
where a handle listens, so a change here changes that number.
"""

from __future__ import annotations

import json
import re
import struct
from enum import IntEnum
from typing import Any

from ..errors import ConnvaultError

# libpq appends the port to the socket's name, and is given this port; all other clients accept any path.
POSTGRESQL_PORT = 5432
SOCKETS = {"postgresql": f".s.PGSQL.{POSTGRESQL_PORT}"}
SOCKET = "s"

# Their relays have no port on loopback, because the protocol has no place for a token. In their patterns of variables
# `{port}` is the connection's own.
WITHOUT_LOOPBACK = frozenset({"ssh"})

# A setting that PostgreSQL's relay reports besides the server's own: the login that the session was opened with, as
# `<revision>.<rotation>`. A pool in the kernel recognises an outdated session by it.
LOGIN_SETTING = "connvault.login"

# A client sends a session's number on this socket, and receives `PASSED_ON` with two descriptors: the session's socket,
# and a lifeline, which it keeps open while it uses the socket. PostgreSQL's number is the backend's process id.
HAND_OVER_SOCKET = "hand-over"
SESSION_NUMBER = struct.Struct(">Q")
PASSED_ON = b"+"
# Not a session's number: asks to end the sessions that are kept for the next client. The answer is the end of the
# connection.
FORGET = 0
# Sent on the lifeline after an intact socket was taken out of its library.
GIVEN_BACK = b"<"

# The folder for option files is named like the handle's directory, with this suffix; in it is one for loopback.
OPTIONS_SUFFIX = ".options"
OPTIONS_OVER_TCP = "tcp"

# On an HTTP relay's own responses only: our code; and the Problem (RFC 9457), where the content has another format or
# is missing. Headers with this prefix that a service sends are dropped.
OUR_HEADERS = "x-connvault-"
ERROR_HEADER = "X-Connvault-Error"
PROBLEM_HEADER = "X-Connvault-Problem"

_REFUSAL = re.compile(r"connvault ([a-z_]+): ([^\r\n]*)")


class AgentMessage(IntEnum):
    """Messages of the SSH agent protocol (draft-ietf-sshm-ssh-agent 5) that a handle's agent knows."""

    FAILURE = 5
    SUCCESS = 6
    REQUEST_IDENTITIES = 11
    IDENTITIES_ANSWER = 12
    SIGN_REQUEST = 13
    SIGN_RESPONSE = 14
    EXTENSION = 27
    EXTENSION_FAILURE = 28
    EXTENSION_RESPONSE = 29


# Extensions: the protocol's own, OpenSSH's (PROTOCOL.agent 1), and ours. Ours tells why the last request was refused,
# for which the protocol has one code: its contents are `problem_of` as JSON, empty if none was.
AGENT_QUERY = b"query"
AGENT_SESSION_BIND = b"session-bind@openssh.com"
AGENT_REFUSAL = b"refusal@connvault-jupyter"

# As OpenSSH's own agent (authfd.h, MAX_AGENT_REPLY_LEN). The largest honest message is a login of some KB.
MAX_AGENT_MESSAGE_BYTES = 256 * 1024


def mysql_session(scramble: bytes) -> int:
    """The number of a MySQL session, from the greeting's scramble: two servers behind one address may have threads of
    the same number."""
    return int.from_bytes(scramble[:8], "big")


def refusal_text(code: str, message: str) -> str:
    """The text of an error in the relay's own protocol."""
    return f"connvault {code}: {message}"


def refusal_in(text: str) -> tuple[str, str] | None:
    """Code and message in an error text that `refusal_text` made; `None`: the text is not a relay's."""
    found = _REFUSAL.search(text)
    return None if found is None else (found[1], found[2])


def problem_of(error: ConnvaultError) -> dict[str, Any]:
    """An error as it is sent where there are no contracts; `errors.from_problem` reads it."""
    return {
        "code": error.code,
        "detail": error.message,
        "details": json.loads(json.dumps(error.details, default=str)),
    }
