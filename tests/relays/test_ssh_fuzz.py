"""Anything at all sent to an SSH agent: it answers in whole messages, ends in time, and signs logins only.

`corpus/ssh` holds whole conversations of a client. The long run grows it by what reaches new code: with
`CONNVAULT_FUZZ_KEEP=1` into the folder, else for the run alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import re
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import asyncssh
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from connvault_jupyter.relays.downstream import Downstream, Handle, Login
from connvault_jupyter.relays.limits import LIMITS
from connvault_jupyter.relays.ssh import agent as ssh_agent
from connvault_jupyter.relays.ssh import relay as ssh
from connvault_jupyter.relays.ssh import rules as ssh_rules
from tests.support.ssh_agent_client import USER, login_data
from tests.support.sshd import UserKey

CORPUS = Path(__file__).parent / "corpus" / "ssh"
_TRACED = frozenset(module.__file__ for module in (ssh, ssh_agent, ssh_rules))

# FAILURE, SUCCESS, IDENTITIES_ANSWER, SIGN_RESPONSE, EXTENSION_FAILURE, EXTENSION_RESPONSE.
_ANSWERS = frozenset({5, 6, 12, 14, 28, 29})
_HOSTBOUND = re.compile(rb"publickey-hostbound-v00@openssh\.com.*", re.DOTALL)

Edges = set[tuple[str, int, int]]


def fixed_key(words: bytes) -> UserKey:
    """Always the same, so that what the corpus has bound and signed stays right."""
    made = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(words).digest())
    text = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return UserKey(text, asyncssh.import_private_key(text).export_public_key().decode().strip())


KEY = fixed_key(b"connvault fuzz user")
HOST = fixed_key(b"connvault fuzz host")


class Recorded(ssh.Relay):
    """Remembers what it has signed."""

    def __init__(self) -> None:
        super().__init__(limits=LIMITS)
        self.signed: list[bytes] = []

    def signature(self, login: Login, key: bytes, data: bytes, algorithm: bytes) -> bytes:
        found = super().signature(login, key, data, algorithm)
        self.signed.append(data)
        return found


def converse(sent: bytes) -> tuple[list[bytes], list[bytes]]:
    """The answers, and what was signed. Everything is sent at once, then the client's half is closed."""
    ours, theirs = socket.socketpair()
    fields = {"host": "build.test", "port": 22, "user": USER, "host_key": HOST.public}
    relay = Recorded()
    downstream = Downstream(
        stream=theirs,
        handle=Handle("h", "/nowhere", "token", fields),
        over_tcp=False,
        limits=LIMITS,
        ask=lambda _downstream: Login(fields, KEY.secrets, 1, "r1"),
        hand=lambda _downstream, _descriptor: lambda: None,
    )
    with ours:
        ours.sendall(sent[:60_000])
        ours.shutdown(socket.SHUT_WR)
        try:
            relay.serve(downstream)
        finally:
            downstream.close()
        ours.settimeout(5)
        received = b""
        # The reset after the last answer: it has hung up without reading the rest.
        with contextlib.suppress(ConnectionResetError):
            while data := ours.recv(65536):
                received += data
    answers = []
    while received:
        (length,) = struct.unpack(">I", received[:4])
        answers.append(received[4 : 4 + length])
        assert len(answers[-1]) == length
        received = received[4 + length :]
    return answers, relay.signed


def check(sent: bytes) -> int:
    """Raises AssertionError for what must not be; how many signatures there were."""
    answers, signed = converse(sent)
    assert all(answer[0] in _ANSWERS for answer in answers)
    assert sum(answer[0] == ssh_agent.SIGN_RESPONSE for answer in answers) == len(signed)
    for data in signed:
        length = int.from_bytes(data[:4], "big")
        session = data[4 : 4 + length]
        # Written anew by the tests' own hand, it must be the same, byte by byte.
        host_key = HOST.blob if _HOSTBOUND.search(data) else None
        assert data == login_data(KEY.blob, session=session, host_key=host_key)
    return len(signed)


@pytest.mark.parametrize("sample", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_when_the_corpus_is_sent_only_logins_are_signed(sample: Path) -> None:
    """What once was interesting stays so."""
    check(sample.read_bytes())


def test_when_the_corpus_is_sent_something_is_signed_and_something_is_refused() -> None:
    """Mutants of conversations that are all refused would prove nothing."""
    signed = {path.name: check(path.read_bytes()) for path in CORPUS.iterdir()}
    assert signed["openssh-login"] == signed["paramiko-login"] == 1
    assert signed["sshsig"] == signed["forwarded"] == signed["other-user"] == 0


def test_when_samples_are_mutated_for_a_moment_only_logins_are_signed() -> None:
    """The long run's first rounds."""
    assert fuzz(examples=300, seconds=20, keep=None) == 300


@pytest.mark.fuzz
@pytest.mark.timeout(3700)
def test_when_samples_are_mutated_for_long_only_logins_are_signed() -> None:
    """`CONNVAULT_FUZZ_EXAMPLES` rounds, or as many as `CONNVAULT_FUZZ_SECONDS` allow."""
    examples = int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "100000"))
    seconds = float(os.environ.get("CONNVAULT_FUZZ_SECONDS", "600"))
    keep = CORPUS if os.environ.get("CONNVAULT_FUZZ_KEEP") else None
    assert fuzz(examples=examples, seconds=seconds, keep=keep) > min(examples, 300) / 2


def fuzz(*, examples: int, seconds: float, keep: Path | None) -> int:
    """Guided by coverage: what takes a branch that nothing took before is mutated further. How many rounds it were."""
    chance = random.Random(int(os.environ.get("CONNVAULT_FUZZ_SEED", "1")))  # noqa: S311 -- to be repeated
    pool = [path.read_bytes() for path in sorted(CORPUS.iterdir())]
    seen: Edges = set()
    for sample in pool:
        seen |= edges_of(lambda sample=sample: check(sample))  # type: ignore[misc]
    ends_at = time.monotonic() + seconds
    for done in range(examples):
        if time.monotonic() > ends_at:
            return done
        data = chance.choice(pool)
        for _ in range(chance.randint(1, 5)):
            data = mutated(data, chance, pool)
        begun = time.process_time()
        new = edges_of(lambda data=data: check(data)) - seen  # type: ignore[misc]
        assert time.process_time() - begun < 5
        if new:
            seen |= new
            pool.append(data)
            if keep is not None:
                (keep / f"found-{hashlib.sha256(data).hexdigest()[:12]}").write_bytes(data)
    return examples


def edges_of(run: Callable[[], Any]) -> Edges:
    """The pairs of lines of the agent's modules that follow each other."""
    found: Edges = set()

    def local(frame: FrameType, event: str, _argument: object) -> Any:
        if event == "line":
            place = frame.f_code.co_filename
            found.add((place, last.get(frame, 0), frame.f_lineno))
            last[frame] = frame.f_lineno
        return local

    def entered(frame: FrameType, _event: str, _argument: object) -> Any:
        return local if frame.f_code.co_filename in _TRACED else None

    last: dict[FrameType, int] = {}
    before = sys.gettrace()
    sys.settrace(entered)
    try:
        run()
    finally:
        sys.settrace(before)
    return found


def mutated(data: bytes, chance: random.Random, pool: list[bytes]) -> bytes:
    """One edit: bytes, numbers that are lengths elsewhere, pieces of other samples."""
    at, other = sorted((chance.randint(0, len(data)), chance.randint(0, len(data))))
    match chance.randrange(7):
        case 0:
            return data[:at] + chance.randbytes(chance.randint(1, 4)) + data[at:]
        case 1:
            return data[:at] + data[other:]
        case 2:
            return data[:other] + data[at:other] + data[other:]
        case 3:
            length = chance.choice([0, 1, 4, 20, 32, 64, 255, len(data), 1 << 18, (1 << 32) - 1])
            return data[:at] + struct.pack(">I", length) + data[at + 4 :]
        case 4:
            piece = chance.choice(pool)
            start = chance.randint(0, len(piece))
            return data[:at] + piece[start : start + chance.randint(1, 200)] + data[at:]
        case 5:
            return data + chance.choice(pool)
        case _:
            if not data:
                return b"\0"
            at = min(at, len(data) - 1)
            return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
