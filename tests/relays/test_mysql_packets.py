"""MySQL's packets: what real servers and clients say is read as it is meant, and nonsense is refused as such."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymysql import _auth

from connvault_jupyter.relays.mysql import proofs
from connvault_jupyter.relays.mysql.packets import (
    Answer,
    Can,
    Greeting,
    Malformed,
    answer_packet,
    error_packet,
    greeting_packet,
    parse_answer,
    parse_error,
    parse_greeting,
    parse_switch,
    switch_packet,
)

CORPUS = Path(__file__).parent / "corpus" / "mysql"
ALL = (1 << 32) - 1
SCRAMBLE = bytes((10, 47, 74, 111, 75, 73, 34, 48, 88, 76, 114, 74, 37, 13, 3, 80, 82, 2, 23, 21))

PARSERS: dict[str, Callable[[bytes], object]] = {
    "greeting": parse_greeting,
    "answer": lambda payload: parse_answer(payload, ALL),
    "switch": parse_switch,
    "error": parse_error,
}


def sample(name: str) -> bytes:
    return (CORPUS / name).read_bytes()


def test_when_mariadb_greets_all_of_it_is_read() -> None:
    """Recorded from 10.11: bit 0 is not set, and further flags follow."""
    found = parse_greeting(sample("greeting-mariadb-10.11"))
    assert found.version == b"5.5.5-10.11.19-MariaDB-0+deb12u1"
    assert found.thread == 5
    assert len(found.scramble) == 20
    assert found.plugin == proofs.NATIVE
    assert found.capabilities & (Can.SSL | Can.DEPRECATE_EOF) == Can.SSL | Can.DEPRECATE_EOF
    assert not found.capabilities & Can.MYSQL
    assert found.extended == 0x1D


def test_when_mysql_greets_all_of_it_is_read() -> None:
    """As the protocol's pages have it."""
    found = parse_greeting(sample("greeting-mysql-8"))
    assert (found.version, found.thread, found.extended) == (b"8.0.36", 7, 0)
    assert (found.scramble, found.plugin) == (b"abcdefghijklmnopqrst", proofs.CACHING_SHA2)


def test_when_pymysql_answers_all_of_it_is_read() -> None:
    """Recorded from PyMySQL 1.2."""
    found = parse_answer(sample("answer-pymysql"), ALL)
    assert (found.user, found.database, found.plugin) == (b"ann", b"shop", proofs.NATIVE)
    assert len(found.proof) == 20
    assert b"_client_name\x07pymysql" in found.attributes
    assert found.extended == 0


def test_when_mariadbs_client_answers_all_of_it_is_read() -> None:
    """Recorded from 10.11's `mariadb`."""
    found = parse_answer(sample("answer-mariadb-client"), ALL)
    assert (found.user, found.database, found.plugin) == (b"ann", b"shop", proofs.NATIVE)
    assert b"_client_name\x0alibmariadb" in found.attributes
    assert not found.capabilities & Can.MYSQL
    assert found.extended == 0x1D


@pytest.mark.parametrize("name", ["greeting-mariadb-10.11", "greeting-mysql-8"])
def test_when_a_greeting_is_written_it_is_read_the_same(name: str) -> None:
    """For real ones byte by byte."""
    assert greeting_packet(parse_greeting(sample(name))) == sample(name)


@pytest.mark.parametrize("name", ["answer-pymysql", "answer-mariadb-client"])
def test_when_an_answer_is_written_it_is_read_the_same(name: str) -> None:
    """For real ones byte by byte, but for flags that no server was told to have."""
    found = parse_answer(sample(name), ALL)
    assert answer_packet(found) == sample(name)


@pytest.mark.parametrize(
    "name",
    sorted(
        path.name for path in CORPUS.iterdir() if path.name.startswith(("greeting-", "answer-", "switch-"))
    ),
)
def test_a_packet_that_is_cut_anywhere_is_read_or_refused(name: str) -> None:
    """Never another error."""
    whole, parse = sample(name), PARSERS[name.partition("-")[0]]
    for count in range(len(whole)):
        check(parse, whole[:count])


def test_flags_that_were_not_offered_do_not_count() -> None:
    """Whatever the client claims."""
    offered = int(Can.PROTOCOL_41 | Can.SECURE_CONNECTION | Can.PLUGIN_AUTH_LENENC)
    found = parse_answer(sample("answer-pymysql"), offered)
    assert found.capabilities == offered | Can.MYSQL
    assert (found.database, found.plugin, found.attributes) == (None, b"", b"")


TEXT = st.binary(max_size=40).map(lambda data: data.replace(b"\0", b"x"))


@given(
    greeting=st.builds(
        Greeting,
        version=TEXT,
        thread=st.integers(0, ALL),
        scramble=st.binary(min_size=20, max_size=20).map(lambda data: data.replace(b"\0", b"x")),
        capabilities=st.integers(0, ALL).map(lambda can: can | Can.SECURE_CONNECTION | Can.PLUGIN_AUTH),
        extended=st.integers(0, ALL),
        charset=st.integers(0, 255),
        status=st.integers(0, 65535),
        plugin=TEXT,
    )
)
def test_when_any_greeting_is_written_it_is_read_the_same(greeting: Greeting) -> None:
    """All its fields."""
    assert parse_greeting(greeting_packet(greeting)) == greeting


@given(
    capabilities=st.integers(0, ALL),
    user=TEXT,
    proof=st.binary(max_size=255),
    database=TEXT,
    plugin=TEXT,
    attributes=st.binary(max_size=400),
)
def test_when_any_answer_is_written_it_is_read_the_same(
    capabilities: int, user: bytes, proof: bytes, database: bytes, plugin: bytes, attributes: bytes
) -> None:
    """As far as its flags say that it is there."""
    can = capabilities | Can.PROTOCOL_41 | Can.SECURE_CONNECTION
    answer = Answer(
        int(can), 0 if can & Can.MYSQL else 5, 1 << 24, 45, user, proof,
        (database or None) if can & Can.CONNECT_WITH_DB else None,
        plugin if can & Can.PLUGIN_AUTH else b"",
        attributes if can & Can.CONNECT_ATTRIBUTES else b"",
    )  # fmt: skip
    assert parse_answer(answer_packet(answer), int(can)) == answer


@given(payload=st.binary(max_size=300))
@settings(max_examples=100)
@pytest.mark.parametrize("parse", PARSERS.values(), ids=PARSERS)
def test_whatever_comes_as_a_packet_is_read_or_refused(
    parse: Callable[[bytes], object], payload: bytes
) -> None:
    """Never another error."""
    check(parse, payload)


@given(plugin=TEXT, scramble=st.binary(max_size=40).filter(lambda data: not data.endswith(b"\0")))
def test_when_a_switch_is_written_it_is_read_the_same(plugin: bytes, scramble: bytes) -> None:
    """Without the final NUL."""
    assert parse_switch(switch_packet(plugin, scramble)) == (plugin, scramble)


def test_when_an_error_is_written_its_number_is_read() -> None:
    """Of its text nothing."""
    assert parse_error(error_packet(1045, "28000", "text")) == 1045


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        (b"secret", "f490e76f66d9d86665ce54d98c78d0acfe2fb0b08b423da807144873d30b312c"),
        (b"secret2", "abc3934a012cf342e876071c8ee202de51785b430258a7a0138bc79c4d800bc6"),
    ],
)
def test_a_proof_of_caching_sha2_is_as_others_make_it(password: bytes, expected: str) -> None:
    """Vectors of another implementation (go-sql-driver/mysql, auth_test.go)."""
    assert proofs.caching_sha2(password, SCRAMBLE).hex() == expected


@given(password=st.binary(max_size=60), scramble=st.binary(min_size=20, max_size=20))
@settings(max_examples=50)
def test_a_proof_of_any_password_is_as_pymysql_makes_it(password: bytes, scramble: bytes) -> None:
    """An implementation that knows nothing of ours."""
    assert proofs.native(password, scramble) == _auth.scramble_native_password(password, scramble)
    assert proofs.caching_sha2(password, scramble) == _auth.scramble_caching_sha2(password, scramble)
    assert proofs.ed25519(password, scramble) == _auth.ed25519_password(password, scramble)
    assert proofs.is_native(proofs.native(password, scramble), password, scramble)
    assert not proofs.is_native(proofs.native(b"no" + password, scramble), password, scramble)


def check(parse: Callable[[bytes], object], payload: bytes) -> bool:
    try:
        parse(payload)
    except Malformed:
        return False
    return True
