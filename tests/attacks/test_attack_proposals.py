"""Suggestions for a form, at a real broker: whose they are, who sees them, and what can't be done with them."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter.errors import ProposalNotFound
from connvault_jupyter.services.connections.proposals import MAX_OF_ONE
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.requester import Refused
from tests.support.canary import CANARY, found_in

PROPOSE = "from connvault_jupyter.kernel.api import propose; from connvault_jupyter.kernel.api import broker"


def shown(notebooks: Notebooks, proposal_id: str) -> dict[str, Any]:
    """What a person sees."""
    return notebooks.operator.call("proposals.get", {"id": proposal_id})


def test_a_suggestion_says_which_notebook_it_is_from(notebooks: Notebooks) -> None:
    """By the process that made it, whatever the document calls itself in which it is shown."""
    with notebooks.open("proposer.ipynb") as process:
        process.run(PROPOSE)
        made = process.run("propose(provider='postgresql', fields={'host': 'db.evil.test'})")
        found = shown(notebooks, made)
    assert found["requester"]["label"] == "proposer.ipynb"
    assert found["fields"] == {"host": "db.evil.test"}


def test_what_a_stopped_kernel_suggested_is_gone(notebooks: Notebooks) -> None:
    """An id in a saved notebook shows nothing: whoever made it has to run."""
    with notebooks.open("stopped.ipynb") as process:
        process.run(PROPOSE)
        made = process.run("propose(provider='postgresql', fields={'host': 'db.evil.test'})")
        shown(notebooks, made)
    with pytest.raises(ProposalNotFound):
        shown(notebooks, made)


@pytest.mark.parametrize(
    "operation", ["proposals.get", "proposals.list", "connections.create", "proposals.delete"]
)
def test_a_requester_can_not_read_or_end_what_another_one_suggests(
    notebooks: Notebooks, operation: str
) -> None:
    """There is no such operation for it, even if it knew the id."""
    with notebooks.open("mine.ipynb") as mine, notebooks.open("theirs.ipynb") as theirs:
        mine.run(PROPOSE)
        made = mine.run("propose(provider='postgresql', fields={'host': 'db.mine.test'})")
        theirs.run(PROPOSE)
        with pytest.raises(Refused, match="UnknownOperation"):
            theirs.run(f"broker().ask({operation!r}, {{'id': {made!r}}})")
        # Nor can it put its own in that place: an id is never said by the asker.
        with pytest.raises(Refused, match="InvalidRequest"):
            theirs.run(
                f"broker().ask('connections.propose', {{'id': {made!r}, 'provider_id': 'postgresql', 'fields': {{}}}})"
            )
        other = theirs.run("propose(provider='postgresql', fields={'host': 'db.mine.test'})")
        assert other != made
        assert shown(notebooks, made)["requester"]["label"] == "mine.ipynb"
        assert shown(notebooks, other)["requester"]["label"] == "theirs.ipynb"


@pytest.mark.parametrize("claim", ["requester", "label", "path", "expires_at", "reveal_allowed", "secrets"])
def test_nobody_can_say_whose_or_how_long(notebooks: Notebooks, claim: str) -> None:
    """A closed contract."""
    with notebooks.open("claims.ipynb") as process:
        process.run(PROPOSE)
        with pytest.raises(Refused, match="InvalidRequest"):
            process.run(
                f"broker().ask('connections.propose', {{'provider_id': 'postgresql', {claim!r}: 'x'}})"
            )


def test_an_id_one_off_is_nobodys(notebooks: Notebooks) -> None:
    """256 bits."""
    with notebooks.open("guess.ipynb") as process:
        process.run(PROPOSE)
        made: str = process.run("propose(name='guessed')")
        for other in ("proposal-" + "A" * 43, made[:-1] + ("A" if made[-1] != "A" else "B")):
            with pytest.raises(ProposalNotFound):
                shown(notebooks, other)


@pytest.mark.parametrize(
    "fields",
    [
        {"password": CANARY},
        {"database": f"x password={CANARY}"},
        {"host": "postgresql://u:hunter2@db.test/x"},
    ],
    ids=["a secret field", "in another field", "in an address"],
)
def test_a_secret_is_refused_and_is_nowhere_afterwards(notebooks: Notebooks, fields: dict[str, str]) -> None:
    """Also from code that asks the broker by itself."""
    with notebooks.open("secrets.ipynb") as process:
        process.run(PROPOSE)
        with pytest.raises(Refused, match="SecretInCode") as refused:
            process.run(
                f"broker().ask('connections.propose', {{'provider_id': 'postgresql', 'fields': {fields!r}}})"
            )
    assert found_in(str(refused.value)) == []
    assert all(found_in(repr(row)) == [] for row in notebooks.record())


def test_a_flood_is_so_many_and_a_row_each(notebooks: Notebooks) -> None:
    """Another notebook is not held up by it."""
    before = len(notebooks.record(type="connection:proposed"))
    with notebooks.open("flood.ipynb") as process, notebooks.open("quiet.ipynb") as quiet:
        process.run(PROPOSE)
        flood = """
made = 0
for number in range(500):
    try:
        propose(name=f"w{number}")
        made += 1
    except Exception as error:
        last = type(error).__name__
"""
        process.run(flood)
        assert process.run("made") == MAX_OF_ONE
        assert process.run("last") == "TooManyProposals"
        quiet.run(PROPOSE)
        shown(notebooks, quiet.run("propose(name='mine')"))
    assert len(notebooks.record(type="connection:proposed")) - before == MAX_OF_ONE + 1


def test_processes_without_a_name_share_one_count(notebooks: Notebooks) -> None:
    """Starting another one costs nothing."""
    tries = """
try:
    found = propose(name="w")[:9]
except Exception as error:
    found = type(error).__name__
"""
    found = []
    for _ in range(MAX_OF_ONE + 1):
        with notebooks.outside() as process:
            process.run(PROPOSE)
            process.run(tries)
            found.append(process.run("found"))
    assert found == ["proposal-"] * MAX_OF_ONE + ["TooManyProposals"]
