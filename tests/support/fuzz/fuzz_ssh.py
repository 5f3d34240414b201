"""SSH for the fuzzer: conversations with the agent, keys of both kinds, lists of host keys."""

from __future__ import annotations

import contextlib
import hashlib
import re
import struct

import asyncssh
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connvault_jupyter.contracts.relay_wire import AGENT_REFUSAL, AgentMessage
from connvault_jupyter.errors import SecretInvalid, SecretMissing
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.ssh import agent, key, relay, rules
from connvault_jupyter.relays.ssh.relay import Relay

from ..relays.scripted_streams import Scripted, cut, downstream_of, words_of
from ..relays.ssh_agent_client import (
    SESSION,
    USER,
    login_data,
    session_bind,
    sign_request,
    string,
)
from ..servers.sshd import UserKey
from .guided import Target

# The numbers and not their names: what an agent may say is the protocol's.
_ANSWERS = frozenset({5, 6, 12, 14, 28, 29})
_HOSTBOUND = re.compile(rb"publickey-hostbound-v00@openssh\.com.*", re.DOTALL)


def fixed_key(words: bytes) -> UserKey:
    """Always the same, so that what the corpus has bound and signed stays right."""
    made = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(words).digest())
    text = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return UserKey(text, asyncssh.import_private_key(text).export_public_key().decode().strip())


KEY = fixed_key(b"connvault fuzz user")
HOST = fixed_key(b"connvault fuzz host")
_SECRET_LINE = KEY.private.splitlines()[1].encode()


class Recorded(Relay):
    """Remembers what it has signed."""

    def __init__(self) -> None:
        super().__init__(limits=LIMITS)
        self.signed: list[bytes] = []

    def signature(self, login: Login, key: bytes, data: bytes, algorithm: bytes) -> bytes:
        found = super().signature(login, key, data, algorithm)
        self.signed.append(data)
        return found


def converse(blocks: list[bytes], *, bound: bool = True) -> tuple[list[bytes], list[bytes]]:
    """The answers, and what was signed. `bound`: logins that name no host are not signed, as by default."""
    fields = {"host": "build.test", "port": 22, "user": USER, "host_key": HOST.public}
    if not bound:
        fields["bound_only"] = False
    relaying = Recorded()
    with Scripted(*blocks) as client:
        downstream = downstream_of(client, Login(fields, KEY.secrets, 1, "r1"), limits=LIMITS)
        try:
            relaying.serve(downstream)
        finally:
            downstream.close()
        received = bytes(client.sent)
    assert _SECRET_LINE not in received
    answers = []
    while received:
        (length,) = struct.unpack(">I", received[:4])
        answers.append(received[4 : 4 + length])
        assert len(answers[-1]) == length
        received = received[4 + length :]
    return answers, relaying.signed


def signatures(sent: bytes, *, bound: bool = True) -> int:
    """How many there were, each for a login. Raises: AssertionError: for something else."""
    answers, signed = converse([sent], bound=bound)
    assert converse(cut(sent), bound=bound) == (answers, signed)
    assert all(answer[0] in _ANSWERS for answer in answers)
    # An answer to each message; none has less than five bytes.
    assert len(answers) <= len(sent) // 5
    assert sum(answer[0] == AgentMessage.SIGN_RESPONSE for answer in answers) == len(signed)
    for data in signed:
        length = int.from_bytes(data[:4], "big")
        session = data[4 : 4 + length]
        # Written anew by the tests' own hand, it must be the same, byte by byte.
        host_key = HOST.blob if _HOSTBOUND.search(data) else None
        assert data == login_data(KEY.blob, session=session, host_key=host_key)
        # Who was to tell the host has told it: in what is signed, or of this session before.
        assert not bound or host_key or string(HOST.blob) + string(session) in sent
    return len(signed)


def _agent(data: bytes) -> None:
    assert signatures(data) <= signatures(data, bound=False)


def _private(data: bytes) -> None:
    """What somebody pastes: a key, or one of two errors without a word of it."""
    text = data.decode("utf-8", "replace")
    for checked in (False, True):
        try:
            found = key.private_key({"private_key": text}, checked=checked)
        except (SecretMissing, SecretInvalid) as exc:
            said = words_of(exc)
        else:
            assert found.algorithm in rules.KEY_KINDS
            said = ""
        assert _SECRET_LINE.decode() not in said


def _public(data: bytes) -> None:
    """A host key as a client names it, and a signature that is none."""
    found = key.public_key(data)
    if found is not None:
        assert not found.verify(b"data", data)


def _hosts(data: bytes) -> None:
    """A connection's host keys: each is one of the lines."""
    text = data.decode("utf-8", "replace")
    found = rules.host_keys(text)
    assert len(found) <= len(text.splitlines())
    with contextlib.suppress(agent.Malformed):
        for one in found:
            assert agent.Reader(one).string()


TARGET = Target(
    "ssh",
    {"agent": _agent, "private": _private, "public": _public, "hosts": _hosts},
    (agent, rules, key, relay),
    (
        string(b"publickey"), string(b"publickey-hostbound-v00@openssh.com"), string(b"ssh-connection"),
        string(b"ssh-ed25519"), string(b"ssh-rsa"), string(b"rsa-sha2-512"), string(b"ecdsa-sha2-nistp256"),
        string(KEY.blob), string(HOST.blob), string(USER.encode()), string(SESSION), login_data(KEY.blob),
        string(login_data(KEY.blob)), string(sign_request(KEY.blob, login_data(KEY.blob))),
        string(session_bind(HOST)), b"\x0b", b"\x0d", b"\x1b", string(bytes([27]) + string(b"query")),
        string(bytes([27]) + string(AGENT_REFUSAL)), b"\n", b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
        b"-----BEGIN RSA PRIVATE KEY-----\n", b"-----END PRIVATE KEY-----\n", b"Proc-Type: 4,ENCRYPTED\n",
        b"DEK-Info: AES-128-CBC,00\n", b"ssh-ed25519 AAAA",
    ),
)  # fmt: skip
