"""The table of commands that a Redis relay does not forward, with reasons. It sends and answers nothing.

Refused are commands that ask for the password or its hash, change it without the broker, or make the server send it
somewhere. Commands whose answers contain it among other things pass, and their answers are shown without it
(`blanking`), where possible. Everything else is the login's own right, limited by the server's ACL: FLUSHALL,
SHUTDOWN, KEYS, DEBUG, other users' ACL entries. MIGRATE only sends a password that its caller knows. The server
redacts it in SLOWLOG and MONITOR. A script can't call CONFIG, ACL, REPLICAOF or MODULE (the server's own flag
`noscript`); in a cluster it can call CLUSTER, which only an ACL can prevent. What passes under another name
(`rename-command`) is masked in the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import blanking

Applies = Callable[[Sequence[bytes], bytes], bool]
"""(the arguments after command and subcommand, the logged-in user)"""


def _any(_arguments: Sequence[bytes], _user: bytes) -> bool:
    return True


def _names_secret(arguments: Sequence[bytes], _user: bytes) -> bool:
    return any(name.lower() in blanking.SECRET_SETTINGS for name in arguments)


def _could_name_secret(arguments: Sequence[bytes], _user: bytes) -> bool:
    return any(matches(pattern, name) for pattern in arguments for name in blanking.SECRET_SETTINGS)


def _sets_secret(arguments: Sequence[bytes], _user: bytes) -> bool:
    return any(name.lower() in blanking.SECRET_SETTINGS for name in arguments[::2])


def _no_one(arguments: Sequence[bytes], _user: bytes) -> bool:
    return [one.upper() for one in arguments] == [b"ONE"]


def _of_own_user(arguments: Sequence[bytes], user: bytes) -> bool:
    # Names are case-sensitive; refusing another user whose name differs only in case does no harm.
    return bool(arguments) and arguments[0].lower() == user.lower()


@dataclass(frozen=True)
class Rule:
    """`subcommand` is empty where there is none. `shown_by`: removes the secrets from the answer; `None`: always
    refused."""

    command: bytes
    subcommand: bytes
    applies: Applies
    reason: str
    shown_by: blanking.Blank | None = None


_HASHES = "this would return password hashes."
_NO_MASTER = (
    "this would detach the server from its primary and make it writable, which is up to its administrator."
)

RULES = (
    Rule(b"CONFIG", b"GET", _names_secret, "this would return a password. Ask for other settings by name."),
    Rule(
        b"CONFIG", b"GET", _could_name_secret,
        "this would return a password. Ask for other settings by name, or outside a transaction.",
        shown_by=blanking.settings,
    ),
    Rule(b"CONFIG", b"SET", _sets_secret, "passwords are changed on the server itself, then in the Connections panel."),
    Rule(b"ACL", b"GETUSER", _any, _HASHES, shown_by=blanking.user),
    Rule(b"ACL", b"LIST", _any, _HASHES, shown_by=blanking.users),
    Rule(b"ACL", b"SETUSER", _of_own_user, "this would change this connection's own login."),
    Rule(b"REPLICAOF", b"NO", _no_one, _NO_MASTER),
    Rule(b"SLAVEOF", b"NO", _no_one, _NO_MASTER),
    # A server logs in to its primary with `masterauth`, which is mostly `requirepass`; and a primary can send it code.
    Rule(b"REPLICAOF", b"", _any, "the server would log in to another server with its password."),
    Rule(b"SLAVEOF", b"", _any, "the server would log in to another server with its password."),
    # With FORCE, to anyone who claims to be a replica.
    Rule(b"FAILOVER", b"", _any, "the server would log in to another server with its password."),
    Rule(b"ADDREPLICAOF", b"", _any, "the server would log in to another server with its password."),
    Rule(b"CLUSTER", b"MEET", _any, "another server would take control of this one."),
    Rule(b"SENTINEL", b"CONFIG", _any, "this would return a password."),
    # Code in the server can read its memory.
    Rule(b"MODULE", b"LOAD", _any, "code loaded into the server can read its passwords."),
    Rule(b"MODULE", b"LOADEX", _any, "code loaded into the server can read its passwords."),
    Rule(b"RESET", b"", _any, "this would log out. Open a new connection instead."),
)  # fmt: skip

WATCHED = frozenset(rule.command for rule in RULES)


def ruled(arguments: Sequence[bytes], user: bytes) -> Rule | None:
    """The rule for a command that is not simply forwarded; `None`: it is."""
    command = arguments[0].upper()
    rest = [as_server_reads(one) for one in arguments[1:]]
    for rule in RULES:
        if rule.command != command:
            continue
        if not rule.subcommand or (
            rest and rest[0].upper() == rule.subcommand and rule.applies(rest[1:], user)
        ):
            return rule
    return None


def as_server_reads(name: bytes) -> bytes:
    """Servers compare names as C strings: anything after a zero byte may be ignored."""
    return name.partition(b"\0")[0]


def matches(pattern: bytes, name: bytes) -> bool:
    """Whether `pattern` could match `name` in a server. A bracket matches anything, to err on the safe side."""
    pattern = pattern.lower()
    places = {0}
    at = 0
    while at < len(pattern) and places:
        char = pattern[at : at + 1]
        at += 1
        if char == b"[":
            return True
        if char == b"*":
            places = set(range(min(places), len(name) + 1))
            continue
        if char == b"\\" and at < len(pattern):
            char = pattern[at : at + 1]
            at += 1
        elif char == b"?":
            # Nothing matches beyond the name's end.
            places = {place + 1 for place in places}
            continue
        places = {place + 1 for place in places if name[place : place + 1] == char}
    return len(name) in places
