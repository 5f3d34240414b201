"""No observable behaviour toward a requester depends on a secret's content, in any protocol.

Two secrets of equal length, the same dialogue, in which the service echoes neither: what the requester sees is the
same, byte by byte and piece by piece, in the same order, with the same errors and the same end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from tests.support import properties as properties
from tests.support.traces.trace_cases import CASES, Case
from tests.support.traces.trace_secrets import Dialogue, dialogues
from tests.support.traces.traces import Event, Leak

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)

# Opening a key that a passphrase locks is meant to be slow.
_UNSHRUNK = (Phase.generate,)
_SLOW = settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])


def traces(case: Case, dialogue: Dialogue, leak: Callable[[str], Leak] | None = None) -> list[list[Event]]:
    """One for each of the two secrets."""
    return [case.run(secret, dialogue, None if leak is None else leak(secret)) for secret in dialogue.secrets]


@every_case
def test_what_a_requester_sees_does_not_depend_on_the_secret(case: Case) -> None:
    """Neither bytes, nor where they are cut, nor their order, nor an error, nor the end."""

    @given(dialogues(case.alphabets))
    def same(dialogue: Dialogue) -> None:
        one, other = traces(case, dialogue)
        assert one == other

    (_SLOW(same) if case.slow else same)()


@every_case
def test_the_same_secret_leaves_the_same_trace_twice(case: Case) -> None:
    """So whatever differs comes of the secret; and the requester does get something to see."""

    @settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
    @given(dialogues(case.alphabets))
    def same(dialogue: Dialogue) -> None:
        one, other = (case.run(dialogue.one, dialogue, None) for _ in range(2))
        assert one == other
        assert any(event[1] == "gets" for event in one)

    same()


def tells(secret: str, said: bytes, piece: bytes) -> bool:
    """What all of the planted leaks look at: whether what passes has a beginning of the secret."""
    return secret.encode()[:2] in said + b"\0" + piece


def bytes_differ(secret: str) -> Leak:
    def leak(said: bytes, piece: bytes) -> Iterable[bytes]:
        return [piece[:-1] + b"*"] if tells(secret, said, piece) else [piece]

    return leak


def cut_elsewhere(secret: str) -> Leak:
    def leak(said: bytes, piece: bytes) -> Iterable[bytes]:
        return [piece[:-1], piece[-1:]] if tells(secret, said, piece) else [piece]

    return leak


def come_later(secret: str) -> Leak:
    """Held back until the next piece: the same bytes, after something else."""
    held: list[bytes] = []

    def leak(said: bytes, piece: bytes) -> Iterable[bytes]:
        before, held[:] = held[:], [piece] if tells(secret, said, piece) else []
        return before if held else [*before, piece]

    return leak


def fail(secret: str) -> Leak:
    def leak(said: bytes, piece: bytes) -> Iterable[bytes]:
        if tells(secret, said, piece):
            raise ConnectionResetError
        return [piece]

    return leak


LEAKS = {one.__name__: one for one in (bytes_differ, cut_elsewhere, come_later, fail)}


@every_case
@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_planted_leak_is_found(case: Case, leak: Callable[[str], Leak]) -> None:
    """The control: something between relay and requester looks at how the secret begins."""
    found = find(
        dialogues(case.alphabets),
        lambda dialogue: _differ(traces(case, dialogue, leak)),
        settings=settings(max_examples=300, database=None, phases=_UNSHRUNK),
    )
    assert found.one != found.other


def _differ(both: list[list[Event]]) -> bool:
    return both[0] != both[1]


def test_what_a_service_says_has_neither_secret() -> None:
    """Else a difference would be the service's."""

    @given(st.data())
    def apart(data: st.DataObject) -> None:
        dialogue = data.draw(dialogues(CASES["redis"].alphabets))
        said = b"".join(dialogue.blocks)
        assert not any(secret.encode() in said for secret in dialogue.secrets)
        assert len(dialogue.one.encode()) == len(dialogue.other.encode())

    apart()
