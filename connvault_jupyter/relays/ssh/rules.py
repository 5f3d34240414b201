"""What an agent of ours signs: a login as the connection's user, with this key, at a host that nothing speaks against.

Signatures for anything else are refused: one that names no session and no user (a git commit, a file, a certificate) is
good everywhere and for ever, so whoever has it has a piece of the key. No key is here, and nothing is signed.

Without word of the host (`session-bind`, or a host-bound login), a signature can't be held to one: the session
identifier in it fits one session only, but with which host that is, the client alone knows. So where the connection
names its host's key, the client must tell: by the host's own signature of the session, or in what is signed, which
another host does not take. Code could log in anywhere by leaving it out, so only `bound_only`, switched off, lets
such a client pass. Without a key in the connection there is nothing to hold a host to.
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

# Of one client: a session each; OpenSSH's agent has the same bound (ssh-agent.c, AGENT_MAX_SESSION_IDS).
_MAX_SESSIONS = 16

_RSA = b"ssh-rsa"
# The kinds of keys that are signed with. Missing on purpose: DSA, keys in hardware (sk-), certificates.
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
    """Why not, and what to do, in our words."""

    reason: str


class Bindings:
    """Which host each session of one client is with, as the hosts' own signatures have shown."""

    def __init__(self, *, verify: Callable[[bytes, bytes, bytes], bool]) -> None:
        """`verify(host_key, data, signature)`."""
        self._verify = verify
        self._hosts: dict[bytes, bytes] = {}
        self.forwarded = False

    def add(self, bind: SessionBind) -> bool:
        """Whether it counts. From a forwarding one on, nothing is signed for this client any more."""
        if bind.forwarding:
            # Even unverified: it can only forbid.
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
    """Whether this may be signed for the connection with these `fields`. That the key is its own is left to look at."""
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
    """The public keys in lines such as `ssh-ed25519 AAAA...`; a line that is none is left out.

    What is left out can't be shown by any host, so a text without any key lets nobody pass: see `_wrong_host`.
    """
    found = set()
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        try:
            key = base64.b64decode(rest.split()[0], validate=True)
            if Reader(key).string() == kind.encode():
                found.add(key)
        except (IndexError, ValueError):
            # Malformed too, and what is no Base64 or not even ASCII.
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
    # A kind of another package may have no such field: not having been asked is not having said no.
    if wanted and not said and fields.get("bound_only") is not False:
        return UNBOUND
    return None
