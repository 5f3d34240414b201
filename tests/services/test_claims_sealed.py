"""Claims for people: sealed by keys of a generation, shown to the operator only, and not while the vault is locked."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from connvault_jupyter.contracts.access import GrantFilter
from connvault_jupyter.contracts.request_limits import MAX_AGENT_CHARS, MAX_CLAIM_CHARS
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import AccessDenied, VaultLocked
from connvault_jupyter.services.requester_claims import Claims, Kind
from connvault_jupyter.vault.envelope import VaultKeys, derive_keys
from tests.support import properties as properties
from tests.support.canary import CANARY
from tests.support.services.service_world import World, notebook, unasked

MASTER, NEXT_MASTER = bytes(range(32)), bytes(range(1, 33))


def keys(master: bytes = MASTER, generation: int = 1) -> VaultKeys:
    return derive_keys(master, "vault", generation.to_bytes(8, "big") + bytes(32))


def claims_of(*by: VaultKeys) -> Claims:
    """The present keys first."""
    return Claims(keys=lambda: by[0], every=lambda: by)


@pytest.fixture
def world() -> World:
    world = World()
    world.connection()
    return world


@given(st.sampled_from(["agent", "reason"]), st.text(min_size=1, max_size=MAX_CLAIM_CHARS))
def test_whatever_is_claimed_is_kept_in_one_length(kind: Kind, text: str) -> None:
    """And comes back as the cleaned text of it."""
    text = text[: MAX_AGENT_CHARS if kind == "agent" else MAX_CLAIM_CHARS]
    claims = claims_of(keys())
    usual = claims.admitted(claims.made(kind, "c1", "x"), "c1", ())
    claim = claims.made(kind, "c1", text)
    assume(claim is not None)
    assert claim is not None
    found = claims.admitted(claim, "c1", ())
    assert found is not None
    assert usual is not None
    assert len(found.sealed) == len(usual.sealed)
    assert len(claims.kept(claim, "c1")) == len(usual.sealed)
    shown, hidden = claims.shown(kind, "c1", found.sealed)
    assert hidden is None
    assert shown
    assert claims.shown(kind, "c2", found.sealed) == (None, "unreadable")
    assert claims.shown("reason" if kind == "agent" else "agent", "c1", found.sealed) == (None, "unreadable")


@pytest.mark.parametrize(
    ("one", "other"),
    [("a", "A"), ("a", "a "), ("caf\u00e9", "cafe\u0301"), ("a\u200b", "a"), ("x", "\uff58")],
)
def test_claims_are_compared_byte_by_byte(one: str, other: str) -> None:
    """Exactly as they were sent: what only looks alike is another claim."""
    claims = claims_of(keys())
    marks = [claims.made("agent", "c1", text) for text in (one, other)]
    assert marks[0] != marks[1]
    assert marks[0] == claims.made("agent", "c1", one)


def test_a_mark_is_of_one_kind_connection_and_vault() -> None:
    """Nobody can compare claims across them, or try texts without the key."""
    claims = claims_of(keys())
    found = {
        claim.mark
        for claim in (
            claims.made("agent", "c1", "x"),
            claims.made("reason", "c1", "x"),
            claims.made("agent", "c2", "x"),
            claims_of(derive_keys(MASTER, "other")).made("agent", "c1", "x"),
            claims_of(keys(NEXT_MASTER)).made("agent", "c1", "x"),
        )
        if claim is not None
    }
    assert len(found) == 5


def test_a_text_without_anything_visible_is_no_claim() -> None:
    """That depends on the text alone."""
    claims = claims_of(keys())
    assert [claims.made("agent", "c1", text) for text in (None, "", " \n", "\u200b\u202e")] == [None] * 4


def test_after_a_change_of_keys_old_claims_are_found_equal_and_read() -> None:
    """By the key of their generation; without that key they are there, and unreadable."""
    before = claims_of(keys())
    old = before.admitted(before.made("agent", "c1", "helper"), "c1", ())
    assert old is not None
    after = claims_of(keys(NEXT_MASTER, 2), keys())
    new = after.made("agent", "c1", "helper")
    assert new is not None
    assert new.mark.startswith("2.")
    assert old.mark in new.marks
    assert after.shown("agent", "c1", old.sealed) == ("helper", None)
    forgetful = claims_of(keys(NEXT_MASTER, 2))
    assert forgetful.shown("agent", "c1", old.sealed) == (None, "unreadable")


def test_while_locked_a_person_sees_that_there_is_a_claim_but_not_its_text(world: World) -> None:
    """In the question, in the list of permissions and in the record; an unlock shows them again."""
    world.request(notebook(), world.answer("always"), agent="helper", reason="nightly load")
    caller = world.start(notebook("b.ipynb"), agent="helper", reason="nightly load")
    world.secrets.lock(actor="ada")
    question = world.question()
    assert (question.agent, question.reasons, question.claims_hidden) == (None, [], "locked")
    (view,) = world.consent.grants(GrantFilter()).grants
    assert (view.grant.agent, view.agent_hidden) == (None, "locked")
    row = next(row for row in world.record() if row.type == "access:granted")
    assert (row.agent, row.reason_claim, row.claims_hidden) == (None, None, "locked")
    world.secrets.unlock(UnlockVault(), actor="ada")
    question = world.question()
    assert (question.agent, question.reasons, question.claims_hidden) == ("helper", ["nightly load"], None)
    (view,) = world.consent.grants(GrantFilter()).grants
    assert (view.grant.agent, view.agent_hidden, view.grant.agent_hash) == ("helper", None, None)
    row = next(row for row in world.record() if row.type == "access:granted")
    assert (row.agent, row.reason_claim, row.claims_hidden) == ("helper", "nightly load", None)
    assert (row.agent_sealed, row.reason_sealed) == (None, None)
    caller.go_away()


def test_an_envelope_that_was_edited_is_shown_as_unreadable(world: World) -> None:
    """It takes no list down."""
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"), reason="nightly load")
    link = world.storage.tables.audit[-1]
    edited = link.event.model_copy(update={"reason_sealed": "1.bm90IGFuIGVudmVsb3Bl"})
    world.storage.tables.audit[-1] = type(link)(**{**link.__dict__, "event": edited})
    row = world.record()[-1]
    assert (row.reason_claim, row.claims_hidden) == (None, "unreadable")
    assert not world.audit.verify().consistent


def test_a_never_counts_while_locked_and_for_any_claim(world: World) -> None:
    """It is the first to be looked at; and it can be said without the keys, about an agent's question."""
    caller = world.start(notebook(), agent="helper")
    world.secrets.lock(actor="ada")
    world.decide("deny_always")
    assert caller.error is AccessDenied
    for agent in (None, "helper", "another", CANARY[:60]):
        with pytest.raises(AccessDenied) as refused:
            world.request(notebook(), unasked, agent=agent)
        assert refused.value.details == {"reason": "never"}
    with pytest.raises(VaultLocked):
        world.request(notebook("b.ipynb"), unasked, agent="helper")
    world.secrets.unlock(UnlockVault(), actor="ada")
    with pytest.raises(AccessDenied):
        world.request(notebook(), unasked, agent="another")


@pytest.mark.parametrize("refusal", ["never", "paused", "too many"])
def test_a_refused_request_unseals_no_claim(
    world: World, monkeypatch: pytest.MonkeyPatch, refusal: str
) -> None:
    """A claim makes no step of the way another one."""
    opened: list[str] = []
    unseal = world.secrets.sealed.unseal

    def watched(*given: object) -> str:
        opened.append("")
        return unseal(*given)  # type: ignore[arg-type]

    callers = []
    if refusal == "too many":
        callers = [world.start(notebook(), agent=f"agent {number}") for number in range(5)]
    else:
        with pytest.raises(AccessDenied):
            world.request(notebook(), world.answer("deny_always" if refusal == "never" else "deny"))
    monkeypatch.setattr(world.secrets.sealed, "unseal", watched)
    for claims in ({}, {"agent": CANARY[:60], "reason": CANARY}):
        caller = world.start(notebook(), **claims)
        assert not caller.waits
    assert opened == []
    for caller in callers:
        caller.go_away()
    if refusal == "too many":
        world.clock.forward(60)
        world.start(notebook(), agent="x", reason="y").go_away()
        # The control: one that is admitted has its claims masked.
        assert opened


def test_a_hang_up_leaves_no_text_in_the_open_question(world: World) -> None:
    """What a dead broker would leave behind is sealed too."""
    caller = world.start(notebook(), agent="helper", reason="nightly load")
    (left,) = world.stores.questions.all()
    assert "helper" not in left.event.model_dump_json()
    assert left.event.agent_sealed
    assert left.event.reason_sealed
    caller.go_away()
