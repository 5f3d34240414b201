"""What our agents sign: logins as the connection's user, with its key, at a host that is not known to be another one.

Everything else is refused: a signature without a session and a user (a git commit, a file, a certificate) is valid
everywhere and for ever, so whoever has it has a part of the key's power. There are no keys here, and nothing is
signed.

Without a proof of the host (`session-bind`, or a host-bound login), a signature can't be restricted to one: the
session identifier in it matches only one session, but only the client knows with which host. So if the connection has
its host's key, the client must prove the host: by the host's own signature of the session, or in the signed data,
which another host does not accept. Code could log in anywhere by leaving it out, so such a client is only accepted if
`bound_only` is off. Without a key in the connection, hosts can't be checked.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .agent import Malformed, Reader, SessionBind, SignRequest, user_auth

_SERVICE = b"ssh-connection"

# draft-ietf-sshm-ssh-agent 5.6.1. Without a flag an RSA signature would be of SHA-1.
RSA_SHA2_256 = 2
RSA_SHA2_512 = 4
_KNOWN_FLAGS = RSA_SHA2_256 | RSA_SHA2_512

# Sessions per client; OpenSSH's agent has the same limit (ssh-agent.c, AGENT_MAX_SESSION_IDS).
_MAX_SESSIONS = 16

_RSA = b"ssh-rsa"
# The supported kinds of keys. Deliberately missing: DSA, hardware keys (sk-), certificates.
KEY_KINDS = frozenset(
    {b"ssh-ed25519", b"ecdsa-sha2-nistp256", b"ecdsa-sha2-nistp384", b"ecdsa-sha2-nistp521", _RSA}
)

NO_LOGIN = "This key signs logins only, not commits, files or certificates. Use another key for those."
OTHER_USER = "The login is for another user than the connection's. Use the connection's user."
OTHER_KEY = "The client asked for another key than the connection's. List the agent's keys again."
WEAK = "SHA-1 signatures are not supported. Use a client that supports rsa-sha2-256 (OpenSSH 7.2 or newer)."
FORWARDED = "The agent was forwarded to another machine, where it must not be used. Log in without -A."
OTHER_HOST = "The host's key is not the one in the connection. Log in to the connection's own host."
OTHER_SESSION = "The login belongs to another session than the one that the client named."
UNBOUND = (
    "This connection signs only logins that name their host's key. Use .connect(), or ssh or git with "
    "OpenSSH 8.9 or "
    "newer. For a program that can't name it (paramiko, asyncssh, libssh2, Go), switch this off in the "
    "connection."
)


@dataclass(frozen=True)
class Allowed:
    """The signature algorithm to use, as in RFC 4252 7 and RFC 8332 3."""

    algorithm: bytes


@dataclass(frozen=True)
class Refused:
    """Why not, and what to do, for people."""

    reason: str


class Bindings:
    """The host of each session of one client, as proved by the hosts' own signatures."""

    def __init__(self, *, verify: Callable[[bytes, bytes, bytes], bool]) -> None:
        """`verify(host_key, data, signature)`."""
        self._verify = verify
        self._hosts: dict[bytes, bytes] = {}
        self.forwarded = False

    def add(self, bind: SessionBind) -> bool:
        """Returns whether it is valid. After one for forwarding, nothing more is signed for this client."""
        if bind.forwarding:
            # Even if unverified, as it can only forbid.
            self.forwarded = True
        known = self._hosts.get(bind.session)
        if known is not None:
            return known == bind.host_key
        if len(self._hosts) >= _MAX_SESSIONS:
            return False
        if not self._verify(bind.host_key, bind.session, bind.signature):
            return False
        self._hosts[bind.session] = bind.host_key
        return True

    def __bool__(self) -> bool:
        return bool(self._hosts)

    def host_of(self, session: bytes) -> bytes | None:
        return self._hosts.get(session)


def judge(request: SignRequest, *, fields: Mapping[str, Any], bindings: Bindings) -> Allowed | Refused:
    """Whether this may be signed for the connection with these `fields`. The caller checks that the key is its own."""
    try:
        login = user_auth(request.data)
        kind = Reader(request.key).string()
    except Malformed:
        return Refused(NO_LOGIN)
    algorithm = _algorithm(kind, request.flags)
    if bindings.forwarded:
        return Refused(FORWARDED)
    if login.key != request.key:
        return Refused(OTHER_KEY)
    if login.service != _SERVICE:
        return Refused(NO_LOGIN)
    if login.user != str(fields["user"]).encode():
        return Refused(OTHER_USER)
    if algorithm is None or login.algorithm != algorithm:
        return Refused(WEAK if kind == _RSA else NO_LOGIN)
    wrong_host = _wrong_host(login.session, login.host_key, fields, bindings)
    return Refused(wrong_host) if wrong_host else Allowed(algorithm)


def host_keys(text: str) -> frozenset[bytes]:
    """The public keys in lines such as `ssh-ed25519 AAAA...`; an invalid line is left out.

    No host can prove a line that is left out, so a text without any valid key lets nobody pass: see `_wrong_host`.
    """
    found = set()
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        try:
            key = base64.b64decode(rest.split()[0], validate=True)
            if Reader(key).string() == kind.encode():
                found.add(key)
        except (IndexError, ValueError):
            # Also Malformed, and what is not Base64 or not even ASCII.
            continue
    return frozenset(found)


def _algorithm(kind: bytes, flags: int) -> bytes | None:
    if kind not in KEY_KINDS or flags & ~_KNOWN_FLAGS:
        return None
    if kind != _RSA:
        return kind
    if flags & RSA_SHA2_512:
        return b"rsa-sha2-512"
    return b"rsa-sha2-256" if flags & RSA_SHA2_256 else None


def _wrong_host(
    session: bytes, named: bytes | None, fields: Mapping[str, Any], bindings: Bindings
) -> str | None:
    shown = bindings.host_of(session)
    if bindings and shown is None:
        return OTHER_SESSION
    said = {host for host in (shown, named) if host is not None}
    if len(said) > 1:
        return OTHER_HOST
    wanted = str(fields.get("host_key") or "").strip()
    if wanted and not said <= host_keys(wanted):
        return OTHER_HOST
    # A kind from another package may not have this field; a missing value does not mean no.
    if wanted and not said and fields.get("bound_only") is not False:
        return UNBOUND
    return None
