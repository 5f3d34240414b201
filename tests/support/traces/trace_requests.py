"""What a requester sees of the broker when it asks for things, as a list: answers, errors, what waits, what is stored.

A whole broker's rules with a real database, a clock that stands still and counted random numbers: the same steps with
the same secret are the same list each time. The person's answers go by the order of the questions alone.
"""

from __future__ import annotations

import functools
import itertools
import re
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from connvault_jupyter.contracts.access import Decide, Question
from connvault_jupyter.contracts.audit import OwnAuditFilter
from connvault_jupyter.contracts.contract import Contract
from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.vault.envelope import derive_keys

from ..relays.scripted_streams import replaced
from ..services import service_world
from ..services.memory_tables import MemoryStorage
from ..services.service_world import Caller, World, notebook
from .trace_secrets import TYPED, strong

Event = tuple[Any, ...]

Claim = str | None

Reworded = Callable[[str, Claim], Claim]
"""(the secret, a claim) -> the claim that the broker gets instead. For planted leaks only."""


@dataclass(frozen=True)
class Ask:
    """All of these at once, each by a requester of its own; then the person answers whatever is asked."""

    claims: tuple[tuple[Claim, Claim], ...]
    decision: str


@dataclass(frozen=True)
class Reveal:
    reason: Claim


@dataclass(frozen=True)
class Turn:
    """`lock`, `unlock`, or so many seconds."""

    what: str | int


Step = Ask | Reveal | Turn


@dataclass(frozen=True)
class Visit:
    """`steps` are the same for both secrets; what they say is a guess at the first one."""

    one: str
    other: str
    steps: tuple[Step, ...]


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    shape = draw(st.text(st.sampled_from(TYPED[0]), max_size=6))
    other = draw(st.text(st.sampled_from(TYPED[0]), min_size=len(shape), max_size=len(shape)))
    one, other = shape + strong(draw(st.integers(0, 99))), other + strong(draw(st.integers(100, 199)))
    # What masks have made of it: the same words by themselves are another's claim.
    stars, word = "*" * len(one), "[secret]"
    claim = st.sampled_from(
        [None, one, stars, word, one[:-1], one[:3], one[:1], f"{one}{one}"[:60], other, "bot"]
        + [f"bot-{what}" for what in (one, stars, word)]
    )
    ask = st.builds(
        Ask,
        st.lists(st.tuples(claim, claim), min_size=1, max_size=6).map(tuple),
        st.sampled_from(["deny", "once", "session", "deny_always", "nobody"]),
    )
    turn = st.builds(Turn, st.sampled_from(["lock", "unlock", 1, 40]))
    steps = st.lists(st.one_of(ask, ask, turn, st.builds(Reveal, claim)), min_size=1, max_size=6)
    return Visit(one, other, tuple(draw(steps)))


def seen(secret: str, steps: Sequence[Step], *, reworded: Reworded | None = None) -> list[Event]:
    """What the requester sees, and the database as it can read it."""
    numbers = itertools.count()
    counted = functools.partial(derive_keys, random=lambda size: next(numbers).to_bytes(size, "big"))
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        database, stores = open_stores(data_dir=Path(folder))
        with closing(database), replaced(service_world, derive_keys=counted):
            world = World(
                storage=(MemoryStorage(), stores), consent=ConsentSettings(cooldown_s=0, timeout_s=60)
            )
            world.connection(provider="postgresql", secrets={"password": secret})
            visitor = _Visitor(world, lambda claim: claim if reworded is None else reworded(secret, claim))
            for step in steps:
                visitor.goes_on(step)
            visitor.reads()
            return visitor.trace + _rows(Path(folder) / "connvault.db")


class _Visitor:
    def __init__(self, world: World, reworded: Callable[[Claim], Claim]) -> None:
        self._world = world
        self._reworded = reworded
        self._refs: list[str] = []
        self.trace: list[Event] = []

    def goes_on(self, step: Step) -> None:
        if isinstance(step, Ask):
            self._ask(step)
        elif isinstance(step, Reveal):
            self._reveal(step)
        else:
            self._turn(step)

    def reads(self) -> None:
        """All that it may read without asking anybody."""
        world = self._world
        self._tell("list", lambda: world.connections.summaries(notebook()))
        self._tell("providers", world.connections.provider_summaries)
        self._tell("own record", lambda: world.audit.own(notebook(), OwnAuditFilter(limit=100)))

    def _ask(self, step: Ask) -> None:
        world = self._world
        callers = []
        for agent, reason in step.claims:
            caller = world.start(notebook(), agent=self._reworded(agent), reason=self._reworded(reason))
            callers.append(caller)
            self.trace.append(("asked", "waits" if caller.waits else _outcome(caller)))
        while questions := world.consent.questions().access_requests:
            with world.lock:
                if step.decision == "nobody":
                    world.clock.forward(100)
                    world.consent.tick()
                    continue
                self._decide(questions[0], step.decision)
                if world.consent.questions().access_requests == questions:
                    # While the vault is locked nothing can be given.
                    self._decide(questions[0], "deny")
            # The person's own view is not the requester's; which callers have been answered so far is.
            self.trace.append(("waiting", [caller.waits for caller in callers]))
        for caller in callers:
            self.trace.append(("answered", _outcome(caller)))
            if caller.error is None:
                self._refs.append(caller.answer.ref)

    def _decide(self, question: Question, decision: str) -> None:
        answer = {"id": question.id, "decision": decision, "digest": question.digest}
        decide = Decide.model_validate(answer)
        self._tell("decided", lambda: self._world.consent.decide(decide, actor="ada"))

    def _reveal(self, step: Reveal) -> None:
        if not self._refs:
            return
        world, ref = self._world, self._refs[-1]
        # A no: the plain text would be a difference that a person has allowed.
        wait, reason = world.if_asked(lambda: world.decide("deny")), self._reworded(step.reason)
        self._tell("reveal", lambda: world.reveal(notebook(), ref, wait, reason=reason))

    def _turn(self, step: Turn) -> None:
        world = self._world
        if step.what == "lock":
            world.secrets.lock(actor="ada")
        elif step.what == "unlock":
            world.secrets.unlock(UnlockVault(), actor="ada")
        else:
            world.clock.forward(float(step.what))
            with world.lock:
                world.consent.tick()

    def _tell(self, what: str, call: Callable[[], Any]) -> None:
        try:
            answer = call()
        except ConnvaultError as exc:
            self.trace.append((what, "refused", exc.code, exc.message, exc.details))
        else:
            self.trace.append((what, answer.model_dump_json() if isinstance(answer, Contract) else answer))


def _outcome(caller: Caller) -> Event:
    error = caller._outcome.exception(30)
    if isinstance(error, ConnvaultError):
        return ("refused", error.code, error.message, error.details)
    assert error is None, error
    return ("granted", caller.answer.model_dump_json())


# What is sealed or made with a key may be another's, of the same length; and what is a digest of that.
_SEALED = re.compile(rb'("\w+_sealed": ?"[0-9]+\.|"wrapped": ?")([A-Za-z0-9+/=_-]+)"')
_KEYED = frozenset({"envelope", "digest", "previous", "mac"})


def _rows(path: Path) -> list[Event]:
    """All of the database, as whoever can read the file reads it."""
    found: list[Event] = []
    with closing(sqlite3.connect(path)) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for table in sorted(tables):
            cursor = database.execute(f"SELECT * FROM {table}")
            names = [column[0] for column in cursor.description]
            rows = [
                (table, *(_readable(name, value) for name, value in zip(names, row, strict=True)))
                for row in cursor
            ]
            found += sorted(rows, key=repr)
    return found


def _readable(name: str, value: Any) -> Any:
    if isinstance(value, bytes) and name in _KEYED:
        return len(value)
    if isinstance(value, str):
        value = value.encode()
    if isinstance(value, bytes):
        return _SEALED.sub(lambda found: found[1] + b"%d bytes" % len(found[2]) + b'"', value)
    return value
