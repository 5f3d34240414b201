"""What a stream holds back: by its lines or a fixed length, for a fixed time; nothing of it depends on a secret."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.relays.masking.holding import HOLD_BYTES, HOLD_S, Holding
from connvault_jupyter.relays.masking.masker import Masker

SECRET = "vKq7Rz2mXw9TbL4nYc6JdH8fGa3"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def made(*, lines: bool) -> tuple[Holding, Clock]:
    clock = Clock()
    return Holding(Masker([SECRET]), lines=lines, clock=clock), clock


def test_a_line_is_passed_on_when_it_ends() -> None:
    """The rest waits for its own end, or its time."""
    held, clock = made(lines=True)
    assert held(b"data: 1\n\ndata: ") == b"data: 1\n\n"
    assert held.held_until == clock.now + HOLD_S
    assert held.release() == b""
    assert held(b"2\n") == b"data: 2\n"
    assert held.held_until == math.inf
    held(b"no end")
    clock.now += HOLD_S
    assert held.release() == b"no end"
    assert held(b"") == b""


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_line_ends_with_either_of_its_ends(end: bytes) -> None:
    """A progress bar writes its line anew, with a carriage return alone."""
    held, _ = made(lines=True)
    assert held(b"50 %" + end + b"60") == b"50 %" + end
    assert held(b" %" + end) == b"60 %" + end
    assert made(lines=False)[0](b"50 %" + end) == b""


def test_without_lines_a_fixed_length_is_held() -> None:
    """However much comes, and whatever it is."""
    held, _ = made(lines=False)
    for content in (b"a" * (3 * HOLD_BYTES), SECRET.encode() * 2000):
        assert len(held(content)) in (len(content), len(content) - HOLD_BYTES)
    assert len(held(b"")) == HOLD_BYTES


def test_a_line_without_an_end_is_held_no_further_than_that() -> None:
    """Its beginning goes on, as soon as there is as much of it as is held."""
    held, _ = made(lines=True)
    assert held(b"x" * (2 * HOLD_BYTES - 1)) == b""
    assert held(b"x" * 11) == b"x" * (HOLD_BYTES + 10)


def test_each_byte_is_held_for_so_long_and_no_longer() -> None:
    """Also of a stream that drips: what came later does not make what came first wait."""
    held, clock = made(lines=False)
    for number in range(6):
        assert held(b"%d" % number) == b""
        clock.now += HOLD_S / 2
        assert held.release() == (b"%d" % (number - 1) if number else b"")
    clock.now += HOLD_S / 2
    assert held.release() == b"5"
    assert held.held_until == math.inf


@given(st.lists(st.integers(0, 200), max_size=6), st.booleans())
def test_wherever_it_is_cut_the_secret_is_masked(cuts: list[int], lines: bool) -> None:
    """As long as its parts come in time."""
    data = b"first line\n" + SECRET.encode() + b" and " + SECRET.encode() + b"\nlast"
    held, _ = made(lines=lines)
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in itertools.pairwise(places)]
    shown = b"".join(held(piece) for piece in pieces) + held(b"")
    assert shown == data.replace(SECRET.encode(), b"*" * len(SECRET))


def test_a_part_that_was_let_go_of_is_not_taken_back() -> None:
    """What comes later than the time allows is no whole secret any more. Not stopped: this is for accidents."""
    held, clock = made(lines=False)
    held(SECRET[:10].encode())
    clock.now += HOLD_S
    assert held.release() + held(SECRET[10:].encode()) + held(b"") == SECRET.encode()


class Counting(Masker):
    """How many bytes it was asked to look through."""

    asked = 0

    def whole(self, data: bytes) -> bytes:
        self.asked += len(data)
        return super().whole(data)


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize("piece", [b"ten bytes ", b"ten bytes\n"])
@pytest.mark.parametrize("each_s", [0.0, 0.0001, 0.001, 0.02])
def test_what_comes_in_small_pieces_is_not_looked_through_again_for_each(
    lines: bool, piece: bytes, each_s: float
) -> None:
    """However fast they come: a few times at most, and nothing of it comes later than it may."""
    clock, mask = Clock(), Counting([SECRET])
    held = Holding(mask, lines=lines, clock=clock)
    told = 0
    came: list[tuple[float, int]] = []
    for _ in range(4000):
        told += len(held(piece))
        came.append((clock.now, len(piece) + (came[-1][1] if came else 0)))
        clock.now += each_s
        if held.held_until <= clock.now:
            told += len(held.release())
        assert told >= max(
            (count for at, count in came[-1000:] if at <= clock.now - HOLD_S - each_s), default=0
        )
    told += len(held(b""))
    assert told == 4000 * len(piece)
    assert mask.asked <= 12 * told


def test_what_is_held_can_be_looked_through_before_it_is_passed_on() -> None:
    """So that a head can say whether something is masked."""
    mask = Masker([SECRET])
    held = Holding(mask, lines=False)
    assert held(SECRET.encode()) == b""
    held.look()
    assert mask.sights == 1
    assert held(b"") == b"*" * len(SECRET)
    assert mask.sights == 1
