"""A server's WebSocket messages: whole, masked, in their frames; control frames at once; nothing waits for ever."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from connvault_jupyter.relays.http.websocket import Messages
from connvault_jupyter.relays.masking.holding import HOLD_S
from connvault_jupyter.relays.masking.masker import Masker

SECRET = b"vKq7Rz2mXw9TbL4nYc6JdH8fGa3"
STARS = b"*" * len(SECRET)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def made() -> tuple[Messages, Clock]:
    clock = Clock()
    return Messages(Masker([SECRET.decode()]), clock=clock), clock


def frame(opcode: Opcode, data: bytes, *, last: bool = True) -> bytes:
    """By another implementation."""
    return Frame(opcode, data, last).serialize(mask=False)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=300).map(lambda data: (data, data)),
            st.sampled_from([1, 5, 26]).map(lambda end: (SECRET[:end], SECRET[:end])),
            st.just((b"<" + SECRET + b">", b"<" + STARS + b">")),
        ),
        max_size=6,
    ),
    st.lists(st.integers(0, 4000), max_size=12),
)
def test_each_message_comes_when_it_is_complete(messages: list[tuple[bytes, bytes]], cuts: list[int]) -> None:
    """Wherever the stream is cut: with its last byte, and all of it."""
    held, _ = made()
    data, ends, expected = b"", {0}, b""
    for said, shown in messages:
        data += frame(Opcode.TEXT, said)
        expected += frame(Opcode.TEXT, shown)
        ends.add(len(data))
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    shown_ = b""
    for start, end in itertools.pairwise(places):
        shown_ += held(data[start:end])
        assert len(shown_) == max(one for one in ends if one <= end)
    assert shown_ == expected
    assert held.held_until == math.inf


@pytest.mark.parametrize("cut", range(1, len(SECRET)))
def test_a_secret_in_two_frames_of_one_message_is_masked(cut: int) -> None:
    """And a ping between them does not wait for the second."""
    held, _ = made()
    assert held(frame(Opcode.TEXT, SECRET[:cut], last=False)) == b""
    assert held(frame(Opcode.PING, b"now")) == frame(Opcode.PING, b"now")
    assert held(frame(Opcode.CONT, SECRET[cut:])) == (
        frame(Opcode.TEXT, STARS[:cut], last=False) + frame(Opcode.CONT, STARS[cut:])
    )


def test_a_message_that_takes_long_goes_on_when_its_time_is_up() -> None:
    """In the same frames; what comes then is held no longer, either."""
    held, clock = made()
    first, second = frame(Opcode.BINARY, b"a" * 1000), frame(Opcode.TEXT, b"next")
    assert held(first[:500]) == b""
    assert held.held_until == clock.now + HOLD_S
    clock.now += HOLD_S
    shown = held.release()
    assert shown == first[:500]
    shown += held(first[500:900])
    clock.now += HOLD_S
    shown += held.release()
    assert shown == first[:900]
    assert shown + held(first[900:] + second) == first + second
    assert held.held_until == math.inf


def test_a_ping_after_a_part_was_passed_on_stands_between_frames() -> None:
    """Not within one."""
    held, clock = made()
    first, ping, last = (
        frame(Opcode.TEXT, b"a" * 9, last=False),
        frame(Opcode.PING, b"now"),
        frame(Opcode.CONT, b"b" * 9),
    )
    held(first[:5])
    clock.now += HOLD_S
    shown = held.release()
    shown += held(first[5:] + ping)
    shown += held(last)
    assert shown == first + ping + last


def test_a_large_message_is_a_stream() -> None:
    """It is not kept whole, and a secret anywhere in it is masked all the same."""
    held, _ = made()
    content = b"x" * 1_500_000 + SECRET + b"y" * 3_000_000 + SECRET
    data = frame(Opcode.BINARY, content)
    shown, most = b"", 0
    for at in range(0, len(data), 100_000):
        shown += held(data[at : at + 100_000])
        most = max(most, at + 100_000 - len(shown))
    assert shown == frame(Opcode.BINARY, content.replace(SECRET, STARS))
    assert most < 1_300_000


@pytest.mark.parametrize("begun", [b"\xf1\x05", b"\x83\x05", b"\x81\x85", b"\x09\x01", b"\x89\x7e\x01\x00"])
def test_what_is_no_frame_of_a_server_passes_as_a_stream(begun: bytes) -> None:
    """Reserved bits and kinds, masked, a control frame in parts or too long: for the client to judge."""
    held, clock = made()
    shown = held(frame(Opcode.TEXT, b"hello") + begun + b"12345" + SECRET)
    clock.now += HOLD_S
    shown += held.release()
    assert shown == frame(Opcode.TEXT, b"hello") + begun + b"12345" + STARS
    assert held(b"more") + held(b"") == b"more"


def test_at_the_end_of_the_connection_nothing_is_kept() -> None:
    """A message that will never be complete, as far as it came."""
    held, _ = made()
    data = frame(Opcode.TEXT, b"half of it")[:-3]
    assert held(data) + held(b"") == data


PARTS_OF_FRAMES = [frame(Opcode.PING, b"are you there")[:end] for end in (1, 2, 9, 14)]
PARTS_OF_FRAMES += [frame(Opcode.TEXT, b"a" * 300)[:end] for end in (1, 2, 3)]


@pytest.mark.parametrize("part", PARTS_OF_FRAMES)
@pytest.mark.parametrize("before", [b"", frame(Opcode.TEXT, b"begun", last=False)])
@pytest.mark.parametrize("late", [False, True])
def test_a_part_of_a_frame_at_the_end_of_the_connection_comes_as_it_was(
    part: bytes, before: bytes, late: bool
) -> None:
    """Of a head or a control frame, after whatever was held of a message."""
    held, clock = made()
    shown = held(before + part)
    clock.now += HOLD_S if late else 0
    shown += held.release() if late else b""
    assert shown + held(b"") == before + part


def test_a_secret_in_a_control_frame_without_an_end_is_masked() -> None:
    """A server that hangs up in the middle has said it all the same."""
    held, _ = made()
    close = frame(Opcode.CLOSE, b"\x03\xe8" + SECRET + b" and more")[:-4]
    assert held(close) + held(b"") == close.replace(SECRET, STARS)


class Counted(bytes):
    """Counts what is cut from it, and from what it is put together with."""

    cut = 0

    def __radd__(self, before: bytes) -> Counted:
        return Counted(bytes(before) + bytes(self))

    def __getitem__(self, place: Any) -> Any:
        found = super().__getitem__(place)
        if isinstance(found, int):
            return found
        Counted.cut += len(found)
        return Counted(found)


def test_many_small_frames_in_one_block_are_not_copied_for_each() -> None:
    """Else a block of them would take a second."""
    empty = frame(Opcode.TEXT, b"") + frame(Opcode.PING, b"") + frame(Opcode.TEXT, b"ab")
    block = Counted(empty * 2000)
    held, _ = made()
    Counted.cut = 0
    assert held(block) == bytes(block)
    assert Counted.cut <= 3 * len(block)
