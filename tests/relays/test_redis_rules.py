"""Which Redis commands stay here: the table, whatever the spelling, and patterns as a real server reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from connvault_jupyter.relays.redis.blanking import SECRET_SETTINGS
from connvault_jupyter.relays.redis.rules import RULES, WATCHED, matches, ruled
from tests.support.servers.redis_server import redis_server

OWN = b"app"

REFUSED = [
    b"CONFIG GET requirepass", b"config get REQUIREPASS", b"CONFIG GET masterauth", b"CONFIG GET primaryauth",
    b"CONFIG GET masteruser", b"CONFIG GET maxmemory requirepass", b"CONFIG GET tls-key-file-pass",
    b"CONFIG GET primaryuser", b"CONFIG GET tls-client-key-file-pass", b"CONFIG GET sentinel-pass",
    b"CONFIG GET * requirepass", b"CONFIG SET requirepass x", b"CONFIG SET maxmemory 0 RequirePass x",
    b"CONFIG SET masterauth x", b"CONFIG SET PrimaryAuth x", b"ACL SETUSER app on nopass", b"ACL SETUSER APP >x",
    b"REPLICAOF evil 6379", b"SLAVEOF evil 6379", b"slaveof NO ONE", b"REPLICAOF no one", b"REPLICAOF NO 6379",
    b"SLAVEOF no 6379", b"CLUSTER MEET evil 6379",
    b"SENTINEL CONFIG GET sentinel-pass", b"MODULE LOAD /tmp/x.so", b"MODULE LOADEX /tmp/x.so", b"RESET",
    b"FAILOVER TO evil 6379 FORCE TIMEOUT 1", b"failover", b"ADDREPLICAOF evil 6379",
    b"CONFIG GET\0x requirepass", b"CONFIG GET requirepass\0x", b"CONFIG SET requirepass\0x y",
]  # fmt: skip

SHOWN_WITHOUT = [
    b"Config Get *", b"CONFIG GET *pass*", b"CONFIG GET r*", b"CONFIG GET require????", b"CONFIG GET [r]equirepass",
    b"CONFIG GET req\\uirepass", b"CONFIG GET maxmemory *", b"CONFIG GET\0x *", b"ACL GETUSER default",
    b"acl getuser other", b"ACL LIST", b"ACL list\0",
]  # fmt: skip

PASSED = [
    b"CONFIG GET maxmemory", b"CONFIG GET maxmemory*", b"CONFIG GET", b"CONFIG GET notify-keyspace-events",
    b"CONFIG SET maxmemory 0", b"CONFIG SET maxmemory requirepass", b"CONFIG REWRITE", b"CONFIG RESETSTAT", b"CONFIG",
    b"ACL WHOAMI", b"ACL SETUSER other on", b"ACL SETUSER", b"ACL GENPASS", b"ACL CAT", b"CLUSTER INFO",
    b"CLUSTER SLOTS", b"MODULE LIST", b"MONITOR", b"SLOWLOG GET", b"DEBUG OBJECT k", b"MIGRATE h 1 k 0 1 AUTH x",
    b"SENTINEL MASTERS", b"GET requirepass", b"SET config get",
]  # fmt: skip


@pytest.mark.parametrize("command", REFUSED)
def test_what_would_give_the_password_away_is_refused(command: bytes) -> None:
    """With words for people."""
    rule = ruled(command.split(), OWN)
    assert rule is not None
    assert rule.shown_by is None
    assert rule.reason
    assert rule.reason.isascii()


@pytest.mark.parametrize("command", SHOWN_WITHOUT)
def test_an_answer_that_has_a_secret_among_other_things_is_shown_without_it(command: bytes) -> None:
    """All settings, all users: libraries ask for them to find out what kind of server it is."""
    rule = ruled(command.split(), OWN)
    assert rule is not None
    assert rule.shown_by is not None


@pytest.mark.parametrize("command", PASSED)
def test_everything_else_passes(command: bytes) -> None:
    """The server's ACL decides about it."""
    assert ruled(command.split(), OWN) is None


@pytest.mark.parametrize("command", [b"REPLICAOF NO ONE", b"slaveof no one"])
def test_leaving_a_master_is_refused_for_what_it_does(command: bytes) -> None:
    """Nobody logs in anywhere then."""
    rule = ruled(command.split(), OWN)
    assert rule is not None
    assert "from its primary" in rule.reason
    assert "log in" not in rule.reason


def test_every_rule_is_tried_here() -> None:
    """And its command is one that the relay looks at."""
    tried = {tuple(command.upper().split()[:2]) for command in REFUSED + SHOWN_WITHOUT}
    for rule in RULES:
        assert rule.command in WATCHED
        assert any(
            one[0] == rule.command and (not rule.subcommand or one[1] == rule.subcommand) for one in tried
        )


@pytest.fixture(scope="module")
def direct() -> Iterator[redis.Redis]:
    """A real server with a password, asked directly."""
    with redis_server(password="canary-of-rules-1") as server, server.client() as client:
        yield client


_LETTERS = st.sampled_from("requipasmthx*?[]^-\\RE")
PATTERNS = st.one_of(
    st.text(_LETTERS, max_size=14),
    # A name with some letters replaced by what may stand for them.
    st.tuples(
        st.sampled_from([name.decode() for name in SECRET_SETTINGS]),
        st.lists(
            st.tuples(
                st.integers(0, 12), st.sampled_from(["*", "?", "[^x]", "[a-z]", "\\r", "[\\]a-z]", "["])
            ),
            max_size=4,
        ),
    ).map(lambda pair: _replaced(*pair)),
)


def _replaced(name: str, changes: list[tuple[int, str]]) -> str:
    letters = list(name)
    for at, by in changes:
        letters[at % len(letters)] = by
    return "".join(letters)


@settings(max_examples=300)
@given(pattern=PATTERNS)
@example(pattern="*")
@example(pattern="[r]equire\\pas?")
def test_no_pattern_that_a_server_takes_is_missed(direct: redis.Redis, pattern: str) -> None:
    """The server is the oracle: what it answers with a secret setting, we refuse."""
    answered = {str(name).encode() for name in direct.config_get(pattern)}
    for name in answered & set(SECRET_SETTINGS):
        assert matches(pattern.encode(), name)
        assert ruled([b"CONFIG", b"GET", pattern.encode()], OWN)


def test_the_connections_own_user_is_known_in_any_case() -> None:
    """Refusing another one whose name differs in that alone does no harm."""
    assert ruled([b"ACL", b"SETUSER", b"app", b"on"], b"App") is not None


def test_a_pattern_of_stars_costs_nothing() -> None:
    """It is walked once, without going back."""
    assert not matches(b"*a" * 8000, b"requirepass")


@pytest.mark.parametrize(
    ("pattern", "name", "matched"),
    [
        (b"", b"", True),
        (b"", b"a", False),
        (b"a", b"", False),
        (b"AB", b"ab", True),
        (b"a?c", b"abc", True),
        (b"ab?", b"ab", False),
        (b"ab??", b"abc", False),
        (b"?*", b"", False),
        (b"??*", b"ab", True),
        (b"*b", b"abb", True),
        (b"a*c*e", b"abcde", True),
        (b"a*c*f", b"abcde", False),
        (b"*?e", b"abcde", True),
        (b"xx*", b"ab", False),
        (b"ab\\", b"ab\\", True),
        (b"ab\\", b"ab", False),
        (b"a\\*", b"a*", True),
        (b"a\\*b", b"a*b", True),
        (b"a\\*bc", b"a*bc", True),
        (b"a\\*", b"ab", False),
        (b"\\ab", b"ab", True),
        (b"a[", b"abc", True),
        (b"x[a]", b"abc", False),
    ],
)
def test_a_pattern_is_read_as_a_server_reads_it(pattern: bytes, name: bytes, matched: bool) -> None:
    """Redis' `stringmatchlen`, except for brackets, which take anything from there on."""
    assert matches(pattern, name) is matched
