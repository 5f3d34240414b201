"""The client's end of a handle's SSH agent (draft-ietf-sshm-ssh-agent 5): its key's public half, signatures, refusals.

For our own opener; ssh, git and asyncssh have theirs. No private key can pass through here: the protocol has no
message for it.
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading

from ....contracts.relay_wire import (
    AGENT_QUERY,
    AGENT_REFUSAL,
    AGENT_SESSION_BIND,
    MAX_AGENT_MESSAGE_BYTES,
    AgentMessage,
)
from ....errors import BrokerUnavailable, ConnvaultError, from_problem

# A key with a passphrase takes the relay a quarter of a second, and fifty at once are served one by one.
_ANSWER_S = 30.0

# The relay disconnects a client that has been silent for twelve hours.
_KEEP_ALIVE_S = 3600.0


class SshAgent:
    """One connection. Not thread-safe, except for `close`.

    Raises: BrokerUnavailable: (from the constructor) nobody listens there.
    """

    def __init__(self, path: str) -> None:
        # While a thread uses the socket, nobody closes it: its number could be another one's before it is waited for.
        # The same thread may come again, as the collector of garbage may end an agent anywhere.
        self._using = threading.RLock()
        self._stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._stream.settimeout(_ANSWER_S)
        try:
            self._stream.connect(path)
        except OSError:
            self._stream.close()
            raise BrokerUnavailable from None

    def public_key(self) -> bytes:
        """In wire format (RFC 4253 6.6). Raises: HandleInvalid, SecretMissing, SecretInvalid, VaultLocked, ..."""
        kind, answer = self._ask(bytes([AgentMessage.REQUEST_IDENTITIES]))
        if kind != AgentMessage.IDENTITIES_ANSWER or answer[:4] == b"\0\0\0\0":
            raise self._why()
        return _string(answer, 4)

    def sign(self, key: bytes, data: bytes, flags: int) -> bytes:
        """The signature in wire format. Raises: NotAllowed: `data` is not a login for the connection; otherwise as
        `public_key`."""
        request = bytes([AgentMessage.SIGN_REQUEST]) + _packed(key) + _packed(data) + struct.pack(">I", flags)
        kind, answer = self._ask(request)
        if kind != AgentMessage.SIGN_RESPONSE:
            raise self._why()
        return _string(answer, 0)

    def bind(self, host_key: bytes, session: bytes, signature: bytes) -> bool:
        """Proves which host a session is with, by the host's signature of the session's identifier; returns whether
        the agent accepted it. From the first call on, the agent only signs for sessions bound like this."""
        told = _packed(host_key) + _packed(session) + _packed(signature) + b"\0"
        kind, _ = self._ask(bytes([AgentMessage.EXTENSION]) + _packed(AGENT_SESSION_BIND) + told)
        return kind == AgentMessage.SUCCESS

    def refusal(self) -> ConnvaultError | None:
        """Why the connection's last request from this process was refused; `None` if none was."""
        kind, answer = self._ask(bytes([AgentMessage.EXTENSION]) + _packed(AGENT_REFUSAL))
        if kind != AgentMessage.EXTENSION_RESPONSE:
            return None
        problem = _string(answer, 4 + len(AGENT_REFUSAL))
        return from_problem(json.loads(problem)) if problem else None

    def fileno(self) -> int:
        return self._stream.fileno()

    def wait_for_end(self) -> None:
        """Returns when the relay has closed this connection, or `close` was called."""
        with self._using, contextlib.suppress(OSError, BrokerUnavailable):
            while True:
                self._stream.settimeout(_KEEP_ALIVE_S)
                try:
                    if not self._stream.recv(1):
                        return
                except TimeoutError:
                    self._ask(bytes([AgentMessage.EXTENSION]) + _packed(AGENT_QUERY))

    def close(self) -> None:
        """Harmless if already closed."""
        with contextlib.suppress(OSError):
            # Wakes a waiting thread, which closing alone does not.
            self._stream.shutdown(socket.SHUT_RDWR)
        with self._using:
            self._stream.close()

    def _why(self) -> ConnvaultError:
        return self.refusal() or ConnvaultError("The broker's agent did not sign.")

    def _ask(self, message: bytes) -> tuple[int, bytes]:
        try:
            with self._using:
                self._stream.settimeout(_ANSWER_S)
                self._stream.sendall(_packed(message))
                (length,) = struct.unpack(">I", self._exactly(4))
                if not 1 <= length <= MAX_AGENT_MESSAGE_BYTES:
                    raise OSError("not the answer of an agent")
                answer = self._exactly(length)
        except OSError:
            raise BrokerUnavailable from None
        return answer[0], answer[1:]

    def _exactly(self, count: int) -> bytes:
        found = bytearray()
        while len(found) < count:
            data = self._stream.recv(count - len(found))
            if not data:
                raise OSError("the agent has gone")
            found += data
        return bytes(found)


def _packed(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _string(answer: bytes, at: int) -> bytes:
    (length,) = struct.unpack_from(">I", answer, at)
    return answer[at + 4 : at + 4 + length]
