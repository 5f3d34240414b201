"""What a handle's relay and its clients in the kernel agree on, beside the protocols that they speak. Standard library
only, for both ends: names of sockets, the hand-over, what is said of a refusal. Nobody is connected here.

Evolution: the two ends may come from two installations, and have shaken hands (`frames`) before a client learns where a
handle listens. So what changes here changes `frames.PROTOCOL`.
"""

from __future__ import annotations

import json
import re
import struct
from enum import IntEnum
from typing import Any

from ..errors import ConnvaultError

# libpq appends the port to the socket's name, and is told this one; all other clients take any path.
POSTGRESQL_PORT = 5432
SOCKETS = {"postgresql": f".s.PGSQL.{POSTGRESQL_PORT}"}
SOCKET = "s"

# Whose relays have no port on loopback, as the protocol has no place for a token: in a pattern of variables `{port}` is
# the connection's own there.
WITHOUT_LOOPBACK = frozenset({"ssh"})

# A setting that PostgreSQL's relay reports beside the server's own: which login the session comes from, as
# `<revision>.<rotation>`. By it a pool in the kernel knows a session that is out of date.
LOGIN_SETTING = "connvault.login"

# A client says on this socket the number of a session, and gets `PASSED_ON` with two descriptors: the session's socket,
# and a lifeline to keep as long as it uses it. The number is a backend's process number for PostgreSQL.
HAND_OVER_SOCKET = "hand-over"
SESSION_NUMBER = struct.Struct(">Q")
PASSED_ON = b"+"
# No session's number: what the relay keeps for the next client is to be ended. It answers with the line's end.
FORGET = 0
# Said on the lifeline: the socket was taken out of its library as the library had got it.
GIVEN_BACK = b"<"

# What follows the name of a handle's directory in the name of the folder for option files, and the folder in it for
# clients on loopback.
OPTIONS_SUFFIX = ".options"
OPTIONS_OVER_TCP = "tcp"

# On an answer of an HTTP relay's own, and on no other: our code; and the Problem (RFC 9457), where the content is in
# another service's words, or missing. A service that sends a header with this prefix is not heard.
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


# Extensions: the protocol's own, OpenSSH's (PROTOCOL.agent 1), and ours. Ours tells why the last request was refused
# (the protocol has one word for all reasons): its contents are `problem_of` in JSON, empty if none was.
AGENT_QUERY = b"query"
AGENT_SESSION_BIND = b"session-bind@openssh.com"
AGENT_REFUSAL = b"refusal@connvault-jupyter"

# What OpenSSH's own agent takes (authfd.h, MAX_AGENT_REPLY_LEN). The largest honest message is a login of some KB.
MAX_AGENT_MESSAGE_BYTES = 256 * 1024


def mysql_session(scramble: bytes) -> int:
    """The number of a MySQL session: threads of two servers behind one address may have the same number, so it comes
    from the greeting."""
    return int.from_bytes(scramble[:8], "big")


def refusal_text(code: str, message: str) -> str:
    """What a relay says in an error of its protocol's own."""
    return f"connvault {code}: {message}"


def refusal_in(text: str) -> tuple[str, str] | None:
    """Code and message that a relay says in this error text; `None`: these are not a relay's words."""
    found = _REFUSAL.search(text)
    return None if found is None else (found[1], found[2])


def problem_of(error: ConnvaultError) -> dict[str, Any]:
    """An error as it crosses sockets that have no contracts; `errors.from_problem` reads it."""
    return {
        "code": error.code,
        "detail": error.message,
        "details": json.loads(json.dumps(error.details, default=str)),
    }
