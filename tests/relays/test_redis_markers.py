"""Answers given by a Redis relay take the place of the server's answers to their markers, however those arrive."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.redis.markers import Markers

ANSWER = b"-ERR connvault not_allowed: no.\r\n"

# What a server says in between, some of it much like an error in the middle.
ORDINARY = st.one_of(
    st.sampled_from([b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"-ERR other\r\n", b">2\r\n+a\r\n+b\r\n", b"_\r\n"]),
    st.lists(st.sampled_from([b"\r\n", b"-", b"-ERR unknown command '", b"\n", b"x", b"\r"]), max_size=8)
    .map(b"".join)
    .map(lambda value: b"$%d\r\n%b\r\n" % (len(value), value)),
)
STEPS = st.lists(st.one_of(ORDINARY, st.sampled_from(["answered", "silent"])), max_size=12)


def of_server(command: bytes) -> bytes:
    """As Redis 7 answers a command that it does not know."""
    name = command.split(b"\r\n")[2]
    return b"-ERR unknown command '%b', with args beginning with: \r\n" % name


@given(steps=STEPS, cuts=st.lists(st.integers(0, 900), max_size=8))
def test_each_answer_is_in_its_place(steps: list[bytes | str], cuts: list[int]) -> None:
    """Whatever is around it; unanswered markers (CLIENT REPLY OFF) change nothing."""
    markers = Markers()
    said, expected = b"", b""
    for number, step in enumerate(steps):
        if isinstance(step, bytes):
            said += step
            expected += step
        else:
            command = markers.new(b"+%d\r\n" % number)
            if step == "answered":
                said += of_server(command)
                expected += b"+%d\r\n" % number
    places = [0, *sorted(cut % (len(said) + 1) for cut in cuts), len(said)]
    shown = b"".join(markers(said[start:end]) for start, end in itertools.pairwise(places) if end > start)
    assert shown == expected, "and nothing is held back at the end of an answer"
    assert markers(b"") == b""


def test_no_two_markers_are_the_same_and_none_can_be_guessed() -> None:
    """128 random bits, and digits only: a server may say it in capitals."""
    markers = Markers()
    made = {markers.new(ANSWER) for _ in range(1000)}
    assert len(made) == 1000
    assert all(one.split(b"\r\n")[2].isdigit() for one in made)


def test_without_markers_nothing_is_held_back() -> None:
    """Not even the beginning of an error."""
    assert Markers()(b"-ERR unkn") == b"-ERR unkn"


def test_a_marker_in_a_value_is_no_answer() -> None:
    """Only an error's line is one."""
    markers = Markers()
    name = markers.new(ANSWER).split(b"\r\n")[2]
    value = b"$39\r\n%b\r\n" % name
    assert markers(value) == value


def test_when_a_server_does_not_name_the_command_its_own_error_is_shown() -> None:
    """In the same place, and what follows goes on."""
    markers = Markers()
    markers.new(ANSWER)
    command = markers.new(ANSWER)
    assert markers(b"-ERR unsupported\r\n") == b"-ERR unsupported\r\n"
    assert markers(of_server(command)) == ANSWER


def test_a_line_without_an_end_is_not_kept_for_ever() -> None:
    """A hostile server fills no memory."""
    markers = Markers()
    markers.new(ANSWER)
    shown = sum(len(markers(b"-" * 4096)) for _ in range(100))
    assert shown >= 4096 * 97


def test_a_client_that_never_reads_answers_is_ended() -> None:
    """So many of them wait for nobody."""
    markers = Markers()
    for _ in range(4096):
        markers.new(ANSWER)
    with pytest.raises(OSError, match="waits for no answer"):
        markers.new(ANSWER)
