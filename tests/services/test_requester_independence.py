"""Nothing that a requester sees of the broker, or reads in its database, depends on a secret's content.

It may say whatever it likes as its agent's name and as a reason: a secret, a part of it, what a mask would make of it.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings

from connvault_jupyter.services.requester_claims import cleaned
from tests.support import properties as properties
from tests.support.traces.trace_requests import Ask, Claim, Reworded, Visit, seen, visits

# A broker with a database for each of the two secrets.
_SLOW = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@_SLOW
@given(visits())
def test_what_a_requester_is_told_does_not_depend_on_the_secret(visit: Visit) -> None:
    """Which question is joined, what is granted without one, which error, what its record and the database say."""
    assert seen(visit.one, visit.steps) == seen(visit.other, visit.steps)


@pytest.mark.parametrize("decision", ["session", "deny", "deny_always", "nobody"])
def test_a_right_guess_joins_no_question_that_a_wrong_one_does_not(decision: str) -> None:
    """A claim, and what a mask may leave of it, at the same time."""
    secret, other = "9b1d-correct-horse", "7c2e-battery-stapl"
    guesses = [
        f"{before}{what}" for before in ("", "bot ") for what in (secret, "[secret]", "*" * len(secret))
    ]
    steps = (
        Ask(tuple((guess, None) for guess in guesses), decision),
        Ask(tuple((None, guess) for guess in guesses), decision),
    )
    assert seen(secret, steps) == seen(other, steps)


def masked(secret: str, claim: Claim) -> Claim:
    return claim and claim.replace(secret, "*" * len(secret))


def shortened(secret: str, claim: Claim) -> Claim:
    """Something before the broker looks at how a claim begins."""
    return claim[:1] if claim and claim.startswith(secret[:3]) else claim


def dropped(secret: str, claim: Claim) -> Claim:
    return None if claim and secret[:3] in claim else claim


LEAKS = {one.__name__: one for one in (masked, shortened, dropped)}


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_a_planted_leak_is_found(leak: Reworded) -> None:
    """The control: claims that are changed by what the secret is before anything compares or stores them."""
    found = find(
        visits(),
        lambda visit: (
            seen(visit.one, visit.steps, reworded=leak) != seen(visit.other, visit.steps, reworded=leak)
        ),
        settings=settings(_SLOW, max_examples=200, database=None, phases=(Phase.generate,)),
    )
    assert found.one != found.other


@settings(_SLOW, max_examples=5)
@given(visits())
def test_the_same_secret_leaves_the_same_trace_twice(visit: Visit) -> None:
    """So whatever differs comes of the secret."""
    assert seen(visit.one, visit.steps) == seen(visit.one, visit.steps)


def test_a_claim_passes_as_it_is() -> None:
    """What the guesses have is nothing that is cleaned away before it counts."""
    assert cleaned("bot-9b1d*") == "bot-9b1d*"
