"""SSH: each handle's socket is an agent that signs only logins. The session itself bypasses the broker.

The private key is held for one signature: it comes with the broker's answer, which is requested each time, and is
dropped by the function that used it. Only its public half is kept.

Our own extension (`relay_wire.AGENT_REFUSAL`) reports why the last request was refused.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import asyncssh

from ...contracts.relay_wire import (
    AGENT_QUERY,
    AGENT_REFUSAL,
    AGENT_SESSION_BIND,
    AgentMessage,
    problem_of,
)
from ...errors import ConnvaultError, NotAllowed
from ..downstream import Downstream, Login
from ..limits import Limits
from . import agent as ssh_agent
from . import connection_check as ssh_trial
from .key import private_key, public_key
from .rules import OTHER_KEY, Bindings, Refused, judge

_FAILURE = bytes([AgentMessage.FAILURE])
_EXTENSION_FAILURE = bytes([AgentMessage.EXTENSION_FAILURE])
_SUCCESS = bytes([AgentMessage.SUCCESS])


class Relay:
    """Serves agents. It has no upstream: it only returns signatures."""

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        # (rotation, public key): computed once, which for a key with a passphrase takes a quarter of a second.
        self._public: tuple[str, bytes] | None = None
        self._refusal: Mapping[str, Any] | None = None

    def serve(self, downstream: Downstream) -> None:
        """Serves one client of the agent. Nobody is served on TCP, as the protocol can't carry the token."""
        if downstream.over_tcp:
            return
        client = _Client(downstream, relay=self)
        ends_at = time.monotonic() + self._limits.lifetime_s
        while (left_s := ends_at - time.monotonic()) > 0:
            try:
                message = ssh_agent.receive(
                    downstream.stream,
                    patience_s=min(left_s, client.patience_s(self._limits)),
                    message_s=self._limits.greeting_s,
                )
            except ssh_agent.Malformed:
                return
            if message is None:
                return
            answer = client.answer(*message)
            downstream.stream.settimeout(self._limits.stalled_s)
            downstream.stream.sendall(ssh_agent.framed(answer))

    def log_in(self, login: Login) -> str:
        """A whole SSH login, without a command. Raises: see `connection_check.log_in`."""
        return ssh_trial.log_in(login, limits=self._limits)

    def forget(self) -> None:
        self._public = None

    def close(self) -> None:
        self.forget()

    def public_key(self, login: Login) -> bytes:
        """Raises: SecretMissing, SecretInvalid."""
        known = self._public
        if known is not None and known[0] == login.rotation:
            return known[1]
        return self._opened(login).public_data

    def signature(self, login: Login, key: bytes, data: bytes, algorithm: bytes) -> bytes:
        """Raises: NotAllowed: `key` is not the connection's; SecretMissing, SecretInvalid."""
        if self.public_key(login) != key:
            raise NotAllowed(OTHER_KEY)
        return self._opened(login).sign(data, algorithm)

    def refused(self, error: ConnvaultError) -> None:
        """Kept for later: the client that asks for the reason may not be the one that was refused (git can't ask)."""
        self._refusal = problem_of(error)

    @property
    def refusal(self) -> bytes:
        return json.dumps(self._refusal).encode() if self._refusal else b""

    def _opened(self, login: Login) -> asyncssh.SSHKey:
        known = self._public
        key = private_key(login.secrets, checked=known is not None and known[0] == login.rotation)
        self._public = (login.rotation, key.public_data)
        return key


class _Client:
    def __init__(self, downstream: Downstream, *, relay: Relay) -> None:
        self._downstream = downstream
        self._relay = relay
        self._bindings = Bindings(verify=_verify)
        self._asked = False
        self._answers: Mapping[int, Callable[[bytes], bytes]] = {
            AgentMessage.REQUEST_IDENTITIES: self._identities,
            AgentMessage.SIGN_REQUEST: self._sign,
            AgentMessage.EXTENSION: self._extension,
        }

    def patience_s(self, limits: Limits) -> float:
        """The time limit for the next message: shorter for a client that has not sent anything yet."""
        return limits.idle_s if self._asked else limits.greeting_s

    def answer(self, kind: int, contents: bytes) -> bytes:
        """Adding and removing keys, locking and smartcards are not supported: FAILURE, as for unknown messages."""
        self._asked = True
        answer = self._answers.get(kind)
        if answer is None:
            return _FAILURE
        try:
            return answer(contents)
        except ssh_agent.Malformed:
            return _FAILURE
        except ConnvaultError as exc:
            self._relay.refused(exc)
            return _FAILURE

    def _identities(self, _contents: bytes) -> bytes:
        login = self._downstream.login()
        comment = f"{login.fields['user']}@{login.fields['host']} (connvault)"
        return ssh_agent.identities_answer([(self._relay.public_key(login), comment.encode())])

    def _sign(self, contents: bytes) -> bytes:
        request = ssh_agent.sign_request(contents)
        login = self._downstream.login()
        verdict = judge(request, fields=login.fields, bindings=self._bindings)
        if isinstance(verdict, Refused):
            raise NotAllowed(verdict.reason)
        return ssh_agent.sign_response(
            self._relay.signature(login, request.key, request.data, verdict.algorithm)
        )

    def _extension(self, contents: bytes) -> bytes:
        name, rest = ssh_agent.extension(contents)
        if name == AGENT_QUERY:
            return ssh_agent.extension_response(name, AGENT_QUERY, AGENT_SESSION_BIND, AGENT_REFUSAL)
        if name == AGENT_SESSION_BIND:
            return _SUCCESS if self._bindings.add(ssh_agent.session_bind(rest)) else _FAILURE
        if name == AGENT_REFUSAL:
            return ssh_agent.extension_response(name, self._relay.refusal)
        return _EXTENSION_FAILURE


def _verify(host_key: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the host with this public key has signed `data`. Certificates of hosts count as unknown."""
    key = public_key(host_key)
    return key is not None and key.verify(data, signature)
