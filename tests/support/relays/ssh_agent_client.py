"""What clients of an SSH agent send, built by hand: honest messages, and the pieces for dishonest ones."""

from __future__ import annotations

import struct

import asyncssh

from tests.support.servers.sshd import UserKey

SESSION = bytes(range(32))
USER = "deploy"


def string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def login_data(
    key: bytes,
    *,
    session: bytes = SESSION,
    kind: int = 50,
    user: bytes = USER.encode(),
    service: bytes = b"ssh-connection",
    method: bytes = b"publickey",
    signed: int = 1,
    algorithm: bytes = b"ssh-ed25519",
    host_key: bytes | None = None,
) -> bytes:
    """RFC 4252 7; host-bound with `host_key`."""
    if host_key is not None:
        method = b"publickey-hostbound-v00@openssh.com"
    return (
        string(session)
        + bytes([kind])
        + string(user)
        + string(service)
        + string(method)
        + bytes([signed])
        + string(algorithm)
        + string(key)
        + (string(host_key) if host_key is not None else b"")
    )


def sign_request(key: bytes, data: bytes, flags: int = 0) -> bytes:
    return bytes([13]) + string(key) + string(data) + struct.pack(">I", flags)


def extension(name: bytes, contents: bytes = b"") -> bytes:
    return bytes([27]) + string(name) + contents


def session_bind(
    host: UserKey, *, session: bytes = SESSION, signed: bytes | None = None, forwarding: bool = False
) -> bytes:
    """With a real signature of the host, of `signed` instead of the session if given."""
    opened = asyncssh.import_private_key(host.private)
    signature = opened.sign(session if signed is None else signed, host.public.split()[0].encode())
    contents = string(host.blob) + string(session) + string(signature) + bytes([forwarding])
    return extension(b"session-bind@openssh.com", contents)


# PROTOCOL.sshsig, what `git commit -S` and `ssh-keygen -Y sign` have signed.
SSHSIG = b"SSHSIG" + string(b"git") + string(b"") + string(b"sha512") + string(bytes(64))
