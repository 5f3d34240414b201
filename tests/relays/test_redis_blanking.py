"""Answers of a Redis server without their secrets: whole values, whoever they come from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.redis.blanking import blanked, settings, user, users
from connvault_jupyter.relays.redis.values import Unreadable, Value, read_all, written

HASH = b"#" + b"0123456789abcdef" * 4

SCALARS = st.one_of(
    st.binary(max_size=20).map(lambda text: Value(b"$", text)),
    st.binary(max_size=20).map(lambda text: Value(b"=", b"txt:" + text)),
    st.integers().map(lambda number: Value(b":", b"%d" % number)),
    st.sampled_from([Value(b"$"), Value(b"*"), Value(b"_"), Value(b"+", b"OK"), Value(b"#", b"t")]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(lambda items: Value(b"*", None, tuple(items))),
        st.lists(st.tuples(inner, inner), max_size=3).map(
            lambda pairs: Value(b"%", None, tuple(one for pair in pairs for one in pair))
        ),
    ),
    max_leaves=12,
)


@given(values=st.lists(VALUES, max_size=4))
def test_what_is_read_is_written_as_it_was(values: list[Value]) -> None:
    """Lists, maps, nulls, in any depth that servers have."""
    assert read_all(b"".join(map(written, values))) == values


@given(values=st.lists(VALUES, min_size=1, max_size=3), data=st.data())
def test_what_is_cut_off_is_never_shown(values: list[Value], data: st.DataObject) -> None:
    """An answer that ends in the middle of a value can't be judged."""
    last = written(values[-1])
    end = data.draw(st.integers(1, len(last) - 1))
    with pytest.raises(Unreadable):
        read_all(b"".join(map(written, values[:-1])) + last[:end])


@given(answer=st.binary(max_size=200))
def test_of_anything_else_nothing_is_shown(answer: bytes) -> None:
    """Nor does it make a relay stumble."""
    shown = blanked(answer, settings)
    assert shown is None or len(shown) <= len(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"*999999999\r\n",
        b"$999999999\r\nx\r\n",
        b"*1\r\n" * 10_000,
        b"*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n",
        b"*2\r\n*0\r\n$1\r\nb\r\n",
        b"$?\r\n;1\r\na\r\n;0\r\n",
        b"+requirepass\r\n",
    ],
)
def test_an_answer_of_another_shape_is_not_shown(answer: bytes) -> None:
    """Counts without content, depths, names that are none."""
    assert blanked(answer, settings) is None


def test_settings_that_are_called_like_secrets_are_empty() -> None:
    """Also those of a fork or a module that nobody has told us of."""
    names = [
        "requirepass",
        "MasterAuth",
        "primaryuser",
        "tls-key-file-pass",
        "s3-secret",
        "x.api-key",
        "apitoken",
    ]
    asked = "".join(f"${len(name)}\r\n{name}\r\n$5\r\nvalue\r\n" for name in names)
    shown = blanked(f"*{2 * len(names)}\r\n{asked}".encode(), settings)
    assert shown is not None
    assert b"value" not in shown
    assert shown.count(b"$0\r\n\r\n") == len(names)


def test_a_user_called_like_a_hash_keeps_its_name() -> None:
    """Only what follows the name are rules."""
    line = b"user " + HASH + b" on " + HASH + b" ~* +@all (+get " + b"~b)"
    shown = blanked(written(Value(b"*", None, (Value(b"$", line),))), users)
    assert shown is not None
    assert b"user " + HASH + b" on ~* +@all (+get ~b)\r\n" in shown


def test_an_error_and_what_comes_in_between_are_as_they_were() -> None:
    """The user may not ask; a message of a subscription."""
    answer = b">2\r\n+message\r\n$1\r\nx\r\n-NOPERM this user has no permissions\r\n"
    assert blanked(answer, settings) == answer
    assert blanked(b"_\r\n", user) == b"_\r\n"
    assert blanked(b"*-1\r\n", user) == b"*-1\r\n"


@pytest.mark.parametrize("kind", [b"*", b"%"])
def test_of_a_user_the_passwords_alone_are_empty(kind: bytes) -> None:
    """Flags, commands and keys are what people ask for."""
    flags, hashes = (Value(b"*", None, (Value(b"$", text),)) for text in (b"on", HASH))
    names = (Value(b"$", b"flags"), Value(b"$", b"passwords"))
    told = Value(kind, None, (names[0], flags, names[1], hashes))
    shown = Value(kind, None, (names[0], flags, names[1], Value(b"*", None, ())))
    assert blanked(written(told), user) == written(shown)
    nobody = written(Value(b"*"))
    assert blanked(nobody, user) == nobody
