"""What a trial login says, and how it crosses from the child: a code, a note and a version, never the server's words.

Both lists are closed: whatever else a child prints is not shown to anybody.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ..errors import (
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamTlsFailed,
    UpstreamUnreachable,
)

UNREACHABLE = UpstreamUnreachable.code
AUTH_FAILED = UpstreamAuthFailed.code
TLS_FAILED = UpstreamTlsFailed.code
TIMEOUT = UpstreamTimeout.code
REFUSED = UpstreamRefused.code
UNTRIED = UpstreamError.code

_DETAILS = {
    kind.code: kind.default_message
    for kind in (
        UpstreamUnreachable,
        UpstreamAuthFailed,
        UpstreamTlsFailed,
        UpstreamTimeout,
        UpstreamRefused,
        UpstreamError,
    )
}

# Where the code alone would send people to the wrong place.
_NOTES = {
    "extra_postgresql": (
        "psycopg is not installed beside the server, so this can't be tried. "
        'Install it there: pip install "connvault-jupyter[postgresql]"'
    ),
    "no_such_client": "Connections of this kind can't be tested.",
    "tls_missing": "The server offers no encryption. Set Encryption to None only if it is on this machine.",
    "redirected": "The service answers with a redirect, which is never followed. Enter the address that it leads to.",
    "nothing_there": "The service answers, but has nothing at the base URL itself, so the login could not be tried.",
    "login_needed": "The service asks for a login. Choose how to log in.",
    "trouble": "The service answers that it is busy or failing. Try again later.",
    "not_http": "What answers there does not speak HTTP. Check host, port and http or https.",
    "unusable_secret": "The secret has characters that can't be sent, such as a line break. Enter it again.",
    "crashed": "The test itself failed. Look into the server log.",
}

CONNECTED = "Connected."

# Ours to begin with; a server gives the numbers only.
_SERVER = re.compile(r"[A-Za-z]{1,20} [0-9]{1,4}(\.[0-9]{1,4}){0,3}\Z")


@dataclass(frozen=True)
class LoginResult:
    """`code` is a stable error code, `None` when the login worked. `note` says it better than the code could.

    `server` is a name of ours and a version number, or empty. `elapsed_ms` is the login alone.
    """

    code: str | None = None
    note: str = ""
    server: str = ""
    elapsed_ms: int = 0

    @property
    def detail(self) -> str:
        """In words for people."""
        if self.code is None:
            return CONNECTED
        return _NOTES.get(self.note, _DETAILS[self.code])

    def to_json(self) -> bytes:
        return json.dumps(
            {"code": self.code, "note": self.note, "server": self.server, "elapsed_ms": self.elapsed_ms}
        ).encode("ascii")


def parse_result(text: bytes) -> LoginResult | None:
    """What a child printed, or `None` if it is not exactly a result."""
    try:
        raw: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(raw, dict) or set(raw) != {"code", "note", "server", "elapsed_ms"}:
        return None
    code, note, server, elapsed_ms = raw["code"], raw["note"], raw["server"], raw["elapsed_ms"]
    if not (code is None or (isinstance(code, str) and code in _DETAILS)):
        return None
    if not (isinstance(note, str) and (note == "" or note in _NOTES)):
        return None
    if not (isinstance(server, str) and (server == "" or _SERVER.match(server))):
        return None
    if type(elapsed_ms) is not int or not 0 <= elapsed_ms <= 3_600_000:
        return None
    return LoginResult(code, note, server, elapsed_ms)
