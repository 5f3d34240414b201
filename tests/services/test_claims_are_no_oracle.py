"""Nothing that a requester sees, and nothing in the database, tells whether a claim has the secret in it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.contracts.access import DecisionKind, HandleUse, RevokeOwn
from connvault_jupyter.contracts.audit import OwnAuditFilter
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import AccessDenied, ConnvaultError, TooManyQuestions
from connvault_jupyter.services.ports import Wait
from connvault_jupyter.storage.stores import open_stores
from tests.support import properties as properties
from tests.support.services.service_world import Caller, World, gone, notebook, unasked

# Of one length, with nothing in common but that.
ONE, OTHER, NEITHER = "Kq7vT2mZx9LpR4wB", "b8YtN3cHs6WdJ5fG", "no-secret-at-all"

CLAIMS = (
    None,
    ONE,
    OTHER,
    NEITHER,
    "[secret]",
    f"x {ONE}",
    f"{OTHER}\u202e",
    ONE[:-1],
    ONE.upper(),
    "\u200b",
)
NAMES = ("warehouse", "token")
STEPS = (
    "hang up", "leave open", "once", "session", "always", "deny", "reveal", "reveal and deny",
    "release", "check", "give back", "own rows", "time", "lock", "unlock",
)  # fmt: skip


class Dialogue:
    """A requester's side of one history: all that it is answered, with its bytes and in its order."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.trace: list[str] = []
        self.refs: list[str] = []
        self.open: list[Caller] = []

    def step(self, step: str, name: str, agent: str | None, reason: str | None) -> None:
        world, claims = self.world, {"agent": agent, "reason": reason}
        steps: dict[str, Callable[[], object]] = {
            "hang up": lambda: self.told(lambda: world.request(notebook(), gone, name, **claims)),
            "leave open": lambda: self.left_open(name, claims),
            **{
                decision: lambda decision=decision: self.asked(decision, name, claims)  # type: ignore[misc]
                for decision in ("once", "session", "always", "deny")
            },
            "reveal": lambda: self.told(
                lambda: world.reveal(notebook(), self.ref(), self.answer("once"), reason=reason)
            ),
            "reveal and deny": lambda: self.told(
                lambda: world.reveal(notebook(), self.ref(), self.answer("deny"), reason=reason)
            ),
            "release": lambda: self.told(lambda: world.access.release(notebook(), HandleUse(ref=self.ref()))),
            "check": lambda: self.told(lambda: world.check(notebook(), self.ref())),
            "give back": lambda: self.told(
                lambda: world.access.revoke_own(notebook(), RevokeOwn(connection=name))
            ),
            "own rows": lambda: self.told(lambda: world.audit.own(notebook(), OwnAuditFilter(limit=500))),
            "time": self.wait,
            "lock": lambda: world.secrets.lock(actor="ada"),
            "unlock": lambda: world.secrets.unlock(UnlockVault(), actor="ada"),
        }
        steps[step]()

    def answer(self, decision: DecisionKind) -> Wait:
        """To a question, if one comes: in most histories not each request is asked about."""
        return self.world.if_asked(lambda: self.world.decide(decision))

    def wait(self) -> None:
        self.world.clock.forward(7)
        self.world.consent.tick()

    def asked(self, decision: DecisionKind, name: str, claims: dict[str, str | None]) -> None:
        wait = self.answer(decision)
        self.told(lambda: self.world.request(notebook(), wait, name, **claims), keep=True)

    def left_open(self, name: str, claims: dict[str, str | None]) -> None:
        caller = self.world.start(notebook(), name, **claims)
        self.trace.append("waits" if caller.waits else "does not wait")
        if caller.waits:
            self.open.append(caller)
        else:
            self.told(caller.finished)

    def ref(self) -> str:
        return self.refs[-1] if self.refs else "A" * 43

    def told(self, call: Callable[[], Any], *, keep: bool = False) -> None:
        try:
            found = call()
        except ConnvaultError as refused:
            self.trace.append(f"{refused.code} {refused.message} {refused.details}")
            return
        except ValueError as nobody:
            # The person of `answer` finds another question than the one that was asked, or none.
            self.trace.append(f"unanswered {nobody}")
            return
        if keep:
            self.refs.append(found.ref)
        self.trace.append(found.model_dump_json())

    def leave(self) -> None:
        for caller in self.open:
            if caller.waits:
                caller.go_away()
        self.open.clear()


@contextmanager
def stored_world(secret: str) -> Iterator[tuple[World, Path]]:
    """A world on a real database, with `secret` in both connections."""
    with TemporaryDirectory() as name:
        database, stores = open_stores(data_dir=Path(name))
        world = World(storage=(None, stores), publish=lambda _: None)  # type: ignore[arg-type]
        world.connection(secrets={"password": secret})
        world.connection("token", provider="secret", fields={}, secrets={"value": secret})
        yield world, Path(name) / "connvault.db"
        database.close()


def claim_columns(path: Path) -> dict[str, list[Any]]:
    """How long each thing is that is stored of claims."""
    found: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(path)) as opened:
        for table, column, order in (
            ("grants", "document", "id"),
            ("audit", "body", "sequence"),
            ("open_questions", "event", "question_id"),
        ):
            for (text,) in opened.execute(f"SELECT {column} FROM {table} ORDER BY {order}"):
                document = json.loads(text)
                for field in ("agent", "agent_hash", "agent_sealed", "reason_claim", "reason_sealed"):
                    length = None if document.get(field) is None else len(document[field])
                    found.setdefault(f"{table}.{field}", []).append(length)
        rows = opened.execute("SELECT * FROM handles ORDER BY ref_hash").fetchall()
    found["handles"] = [[len(one) for one in row if isinstance(one, str | bytes)] for row in rows]
    return found


def everything_in(path: Path) -> bytes:
    files = [file for file in path.parent.iterdir() if file.name.startswith(path.name)]
    return b"".join(file.read_bytes() for file in files)


def history(secret: str, steps: list[tuple[str, str, str | None, str | None]]) -> tuple[list[str], Any]:
    with stored_world(secret) as (world, path):
        dialogue = Dialogue(world)
        try:
            for step in steps:
                dialogue.step(*step)
        finally:
            dialogue.leave()
        return dialogue.trace, claim_columns(path)


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(STEPS), st.sampled_from(NAMES), st.sampled_from(CLAIMS), st.sampled_from(CLAIMS)
        ),
        max_size=14,
    )
)
def test_the_same_dialogue_with_another_secret_reads_the_same(
    steps: list[tuple[str, str, str | None, str | None]],
) -> None:
    """To the requester: bytes, order and errors. In the database: everything about claims has the same length."""
    assert history(ONE, steps) == history(OTHER, steps)


def test_five_open_questions_tell_nothing_about_a_guess() -> None:
    """Masked before it is compared, a right guess joins the question about "[secret]", and a wrong one is too many."""
    with stored_world(ONE) as (world, _):
        callers = [world.start(notebook(), agent=agent) for agent in ("[secret]", "b", "c", "d", "e")]
        assert all(caller.waits for caller in callers)
        for guess in (ONE, OTHER, NEITHER):
            with pytest.raises(TooManyQuestions):
                world.request(notebook(), unasked, agent=guess)
        for caller in callers:
            caller.go_away()


def test_a_standing_permission_tells_nothing_about_a_guess() -> None:
    """Given to an agent that called itself "[secret]", or by the secret: only exactly that claim has it."""
    for own in ("[secret]", ONE):
        with stored_world(ONE) as (world, _):
            world.request(notebook(), world.answer("session"), agent=own)
            world.request(notebook(), unasked, agent=own)
            for guess in {"[secret]", ONE, OTHER, f"{own} "} - {own}:
                with pytest.raises(AccessDenied):
                    world.request(notebook(), world.answer("deny"), agent=guess)
                world.clock.forward(30)


def test_reasons_are_told_apart_as_they_were_sent() -> None:
    """Each new one is news in the page, whatever is left of it when it is masked."""
    events: dict[str, int] = {}
    for secret in (ONE, OTHER):
        world = World()
        world.connection(secrets={"password": secret})
        callers = [
            world.start(notebook(), reason=reason) for reason in ("[secret]", ONE, OTHER, NEITHER, ONE)
        ]
        events[secret] = sum(event.event == "access_request:asked" for event in world.events)
        shown = world.question().reasons
        assert shown == [
            "[secret]" if reason == secret else reason for reason in ("[secret]", ONE, OTHER, NEITHER)
        ]
        for caller in callers:
            caller.go_away()
    assert events[ONE] == events[OTHER] == 4


def test_the_database_has_no_text_of_a_claim() -> None:
    """Neither the words nor the stars, wherever claims are stored; and short and long ones take the same room."""
    words = {"short": ("ab", "cd"), "long": (("agent-of-mine " * 5)[:60], "monthly report " * 13)}
    lengths = []
    for agent, reason in words.values():
        with stored_world(ONE) as (world, path):
            handle = world.request(notebook(), world.answer("always"), agent=agent, reason=reason)
            world.deliver(notebook(), handle.ref)
            plain = world.request(notebook(), unasked, "token", agent=agent)
            world.reveal(notebook(), plain.ref, world.answer("once"), reason=reason)
            world.request(notebook(run=2), world.answer("session"), agent=f"{ONE}", reason=f"with {ONE}")
            caller = world.start(notebook("b.ipynb"), agent=agent, reason=reason)
            stored = everything_in(path)
            lengths.append(claim_columns(path))
            caller.go_away()
        # The search finds what is stored in the open.
        assert b"warehouse" in stored
        for text in (b"[secret]", ONE.encode(), b"agent-of-mine", b"monthly report", b'"ab"', b'"cd"'):
            assert text not in stored
    assert lengths[0] == lengths[1]


def test_uses_of_an_agents_grant_reuse_its_envelope() -> None:
    """Sealing at each use would cost as much as the rest of it."""
    world = World()
    world.connection()
    handle = world.request(notebook(), world.answer("always"), agent="helper")
    for _ in range(3):
        world.deliver(notebook(), handle.ref)
    (stored,) = world.stores.grants.all()
    rows = [link.event for link in world.storage.tables.audit if link.event.grant_id == stored.grant.id]
    assert {row.agent_sealed for row in rows} == {stored.grant.agent_sealed}
    assert [row.agent for row in world.record() if row.type == "access:used"] == ["helper"] * 3


def test_a_secret_that_does_not_open_changes_nothing_for_claims() -> None:
    """The request is answered with a claim as without one, and only a use finds out."""
    for claims in ({}, {"agent": "helper", "reason": f"with {ONE}"}):
        world = World()
        connection = world.connection(secrets={"password": ONE})
        key = (connection.id, "password")
        sealed = world.storage.tables.secrets[key]
        world.storage.tables.secrets[key] = type(sealed)(
            **{**sealed.__dict__, "envelope": bytes(len(sealed.envelope))}
        )
        world.request(notebook(), world.answer("session"), **claims)
        assert world.view(connection).connection.status == "ready"


def test_a_masked_claim_stays_masked_when_the_secret_is_replaced_or_gone() -> None:
    """The secret of then can't be found any more by then."""
    world = World()
    connection = world.connection(secrets={"password": ONE})
    with pytest.raises(AccessDenied):
        world.request(notebook(), world.answer("deny"), agent=ONE, reason=f"with {ONE}")
    with world.lock:
        world.secrets.sealed.remove(connection.id, "password")
    row = world.record()[-1]
    assert (row.agent, row.reason_claim, row.claims_hidden) == ("[secret]", "with [secret]", None)
