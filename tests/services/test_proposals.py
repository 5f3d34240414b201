"""What code suggests for a form: what is taken, for how long, how much of it, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from connvault_jupyter.contracts.access import Requester
from connvault_jupyter.contracts.audit import AuditFilter
from connvault_jupyter.contracts.proposals import Proposal, ProposalRef, Propose
from connvault_jupyter.errors import (
    ConnvaultError,
    InvalidFields,
    ProposalNotFound,
    ProviderNotFound,
    SecretInCode,
    TooManyProposals,
)
from connvault_jupyter.services.connections.proposals import KEPT_S, MAX_IN_ALL, MAX_OF_ONE
from tests.support.canary import CANARY, found_in
from tests.support.services.service_world import World, notebook


@pytest.fixture
def world() -> World:
    return World()


def propose(
    world: World,
    fields: dict[str, Any] | None = None,
    *,
    provider: str | None = "postgresql",
    name: str | None = "warehouse",
    by: Requester | None = None,
) -> str:
    request = Propose(provider_id=provider, name=name, fields=fields or {})
    return world.proposals.propose(by or notebook(), request).id


def get(world: World, proposal_id: str) -> Proposal:
    return world.proposals.get(ProposalRef(id=proposal_id))


def process(pid: int) -> Requester:
    """A process outside of kernels."""
    name = f"detached:process:{pid}"
    return Requester(kind="detached", key=name, instance=f"process:{pid}", label="python", pid=pid)


def rows(world: World, kind: str = "connection:proposed") -> list[Any]:
    return world.audit.list(AuditFilter.model_validate({"type": kind, "limit": 500})).events


def test_a_suggestion_comes_back_with_whose_it_is(world: World) -> None:
    """Kind, name and fields as they were given; the requester as it was found out."""
    found = get(world, propose(world, {"host": "db.internal", "port": 5433}))
    assert (found.provider_id, found.name) == ("postgresql", "warehouse")
    assert found.fields == {"host": "db.internal", "port": 5433}
    assert found.requester == notebook()
    assert (found.expires_at - found.proposed_at).total_seconds() == KEPT_S


def test_a_renamed_notebook_is_named_as_it_is_called_now(world: World) -> None:
    """A person looks for the file that there is."""
    made = propose(world)
    world.runs.renamed[notebook().instance] = notebook("renamed.ipynb")
    assert get(world, made).requester.label == "renamed.ipynb"


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("port", "5433", 5433),
        ("port", 5433, 5433),
        ("host", 10, "10"),
        ("user", "7", "7"),
        ("database", "sales", "sales"),
    ],
)
def test_texts_are_read_as_the_fields_own_types(world: World, field: str, text: Any, value: Any) -> None:
    """A magic has nothing but texts."""
    assert get(world, propose(world, {field: text})).fields == {field: value}


@pytest.mark.parametrize("said", ["true", "Yes", "on", "1"])
def test_a_yes_is_read_as_one(world: World, said: str) -> None:
    """Of a field that is yes or no."""
    made = propose(world, {"bound_only": said}, provider="ssh")
    assert get(world, made).fields == {"bound_only": True}


SECRETS = {
    "a secret field": ("postgresql", {"password": CANARY}),
    "one of a condition": ("http", {"client_secret": CANARY}),
    "a slip in its name": ("postgresql", {"pass_word_token": CANARY}),
    "a password in an address": ("http", {"base_url": "https://ada:hunter2@api.test"}),
    "one in a plain text": ("postgresql", {"database": f"sales password={CANARY}"}),
    "a token in a query": ("http", {"base_url": f"https://api.test/?api_key={CANARY}"}),
    "a private key": ("http", {"ca_certificate": "-----BEGIN RSA PRIVATE KEY-----\nMIIE"}),
}


@pytest.mark.parametrize("what", SECRETS)
def test_what_looks_like_a_secret_is_refused(world: World, what: str) -> None:
    """It is neither kept nor quoted, and the refusal is on record."""
    provider, fields = SECRETS[what]
    with pytest.raises(SecretInCode) as refused:
        propose(world, fields, provider=provider)
    assert found_in(str(refused.value) + repr(refused.value.details)) == []
    assert rows(world) == []
    assert [row.code for row in rows(world, "access:refused")] == ["secret_in_code"]


WRONG = {
    "an unknown field": ("postgresql", {"hots": "db"}, "fields.hots"),
    "a user in an address": ("http", {"base_url": "https://ada@api.test"}, "fields.base_url"),
    "no host name": ("postgresql", {"host": "db.internal/evil"}, "fields.host"),
    "a number that is none": ("postgresql", {"port": "many"}, "fields.port"),
    "one that is not finite": ("postgresql", {"port": "inf"}, "fields.port"),
    "zero width": ("postgresql", {"database": "sa\u200bles"}, "fields.database"),
    "a filler": ("postgresql", {"user": "ada\u3164"}, "fields.user"),
    "another blank": ("secret", {"description": "to\u00a0db.internal"}, "fields.description"),
    "reordered": ("secret", {"description": "\u202elanretni.bd"}, "fields.description"),
    "blanks at the end": ("postgresql", {"user": "ada  "}, "fields.user"),
    "a line more": ("postgresql", {"user": "ada\nroot"}, "fields.user"),
    "too much": (
        "http",
        {"ca_certificate": "x" * 8000, "username": "y" * 8000, "scope": "z" * 800},
        "fields",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_the_form_could_not_show_or_save_is_refused(world: World, what: str) -> None:
    """By the place of what is wrong, without quoting it."""
    provider, fields, path = WRONG[what]
    with pytest.raises(InvalidFields) as refused:
        propose(world, fields, provider=provider)
    assert path in [error["path"] for error in refused.value.details["errors"]]
    assert rows(world) == []


@pytest.mark.parametrize(
    "text", ["API key: billing", "The token for reports", "password of the shared account"]
)
def test_words_about_a_secret_are_none(world: World, text: str) -> None:
    """A description says what it is."""
    assert get(world, propose(world, {"description": text}, provider="secret")).fields == {
        "description": text
    }


def test_a_certificate_has_lines(world: World) -> None:
    """A field of several lines takes them."""
    pem = "-----BEGIN CERTIFICATE-----\nMIIBszCC\n-----END CERTIFICATE-----\n"
    made = propose(world, {"ca_certificate": pem, "sslmode": "verify-full"})
    assert get(world, made).fields["ca_certificate"] == pem


def test_an_unknown_kind_and_fields_without_a_kind_are_refused(world: World) -> None:
    """Nobody could tell which of them are secret."""
    with pytest.raises(ProviderNotFound):
        propose(world, provider="oracle")
    with pytest.raises(InvalidFields):
        propose(world, {"host": "db"}, provider=None)


def test_a_name_alone_can_be_suggested(world: World) -> None:
    """The person chooses the kind."""
    found = get(world, propose(world, provider=None, name="wharehouse"))
    assert (found.provider_id, found.name, found.fields) == (None, "wharehouse", {})


def test_a_suggestion_expires(world: World) -> None:
    """What lies in an output tomorrow shows nothing."""
    made = propose(world)
    world.clock.forward(KEPT_S - 1)
    get(world, made)
    world.clock.forward(1)
    with pytest.raises(ProposalNotFound):
        get(world, made)


def test_a_suggestion_ends_with_the_run_that_made_it(world: World) -> None:
    """A kernel that is gone suggests nothing."""
    made = propose(world)
    world.runs.ended.add(notebook().instance)
    with pytest.raises(ProposalNotFound):
        get(world, made)


def test_another_broker_knows_nothing_of_a_suggestion(world: World) -> None:
    """It is in memory alone: nothing of it is in the database, so a restart ends it too."""
    made = propose(world, {"host": "db.internal"})
    assert "db.internal" not in repr(vars(world.storage))
    with pytest.raises(ProposalNotFound):
        get(World(storage=(world.storage, world.stores), unlocked=False), made)


def test_the_same_again_is_the_same(world: World) -> None:
    """A cell that is run once more makes no row, and its time begins anew."""
    made = propose(world)
    world.clock.forward(KEPT_S - 1)
    assert propose(world) == made
    world.clock.forward(KEPT_S - 1)
    get(world, made)
    assert len(rows(world)) == 1


def test_a_suggestion_of_another_run_is_that_runs_own(world: World) -> None:
    """The same words of another notebook, or of the next run, have another id; the first is not touched."""
    ids = {
        propose(world, by=notebook(path, run))
        for path, run in [("a.ipynb", 1), ("a.ipynb", 2), ("b.ipynb", 1)]
    }
    assert len(ids) == 3
    assert {get(world, one).requester.instance for one in ids} == {
        "kernel:a.ipynb:1",
        "kernel:a.ipynb:2",
        "kernel:b.ipynb:1",
    }


def test_each_suggestion_is_on_record_with_who_made_it(world: World) -> None:
    """And with nothing of what it says."""
    propose(world, {"host": "db.internal"})
    (row,) = rows(world)
    assert row.requester_key == notebook().key
    assert "db.internal" not in row.model_dump_json()


@pytest.mark.parametrize("restart", [False, True], ids=["one run", "a run each"])
def test_one_notebook_makes_so_many_and_no_more(world: World, restart: bool) -> None:
    """A restarted kernel begins no new count: each makes a row."""
    for number in range(MAX_OF_ONE):
        by = notebook(run=number if restart else 1)
        propose(world, name=f"w{number}", by=by)
        if restart:
            world.runs.ended.add(by.instance)
    with pytest.raises(TooManyProposals):
        propose(world, name="more", by=notebook(run=99))
    propose(world, by=notebook("other.ipynb"))
    world.clock.forward(KEPT_S)
    propose(world, name="more")
    assert [row.code for row in rows(world, "access:refused")] == ["too_many_proposals"]


def test_all_processes_outside_of_kernels_count_as_one(world: World) -> None:
    """A new process costs nothing to start, and one that has ended leaves no room."""
    for pid in range(MAX_OF_ONE):
        propose(world, by=process(pid))
        world.runs.ended.add(f"process:{pid}")
    with pytest.raises(TooManyProposals):
        propose(world, by=process(999))
    propose(world)


def test_all_together_make_so_many(world: World) -> None:
    """Whatever runs: memory and record are bounded."""
    for number in range(MAX_IN_ALL):
        propose(world, name=f"w{number}", by=notebook(f"{number // MAX_OF_ONE}.ipynb"))
    with pytest.raises(TooManyProposals):
        propose(world, by=notebook("last.ipynb"))
    assert len(rows(world)) == MAX_IN_ALL


def test_a_flood_of_refused_ones_is_a_row_in_a_while(world: World) -> None:
    """As with every refusal."""
    for _ in range(50):
        with pytest.raises(ConnvaultError):
            propose(world, {"password": CANARY})
    assert len(rows(world, "access:refused")) == 1


def test_a_suggestion_works_while_the_vault_is_closed() -> None:
    """Nothing is stored; the form says what has to happen before a secret can be saved."""
    world = World(unlocked=False)
    get(world, propose(world))


@pytest.mark.parametrize(
    "fields",
    [
        {"host": None},
        {"host": ["a"]},
        {"host": {"a": 1}},
        {"Host": "a"},
        {"host": "x" * 8193},
        {f"f{n}": 1 for n in range(33)},
    ],
    ids=range(6),
)
def test_what_is_no_plain_value_is_no_suggestion(fields: dict[str, Any]) -> None:
    """Nothing nested, nothing without end."""
    with pytest.raises(ValidationError):
        Propose.model_validate({"provider_id": "postgresql", "fields": fields})
