"""Consent against an oracle that was written apart from it: any order of asking, answering, leaving and time.

The oracle counts seconds and keeps lists; it knows nothing of MACs, digests, rows, futures or threads.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from connvault_jupyter.contracts.access import Decide, GrantFilter, GrantRef, HandleUse, Requester
from connvault_jupyter.contracts.connections import UpdateConnection
from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.errors import (
    AccessDenied,
    AccessRequestChanged,
    ConnvaultError,
    ConsentTimeout,
    ConsentWithdrawn,
    GrantNotFound,
    HandleInvalid,
    NoApprover,
    TooManyQuestions,
    VaultLocked,
)
from connvault_jupyter.services.consent.throttle import MAX_UNANSWERED
from tests.support import properties as properties
from tests.support.services.consent_oracle import (
    COOLDOWN_S,
    FOR_S,
    GRACE_S,
    MAX_PENDING,
    NOTHING,
    ONCE_S,
    TIMEOUT_S,
    Asked,
    Held,
    Permission,
    Waiting,
)
from tests.support.services.service_world import POSTGRES, Caller, World, notebook

NAMES = st.sampled_from(["a.ipynb", "b.ipynb"])
AGENTS = st.sampled_from([None, None, "x"])

# What ends much at once must not be in every second step, or nothing ever gets old.
SELDOM = st.sampled_from([False, False, False, True])


class ConsentMachine(RuleBasedStateMachine):
    """What the services do is on the left, what the oracle says on the right."""

    callers = Bundle("callers")
    refs = Bundle("refs")
    grant_ids = Bundle("grant_ids")

    def __init__(self) -> None:
        super().__init__()
        self.world = World(
            consent=ConsentSettings(
                timeout_s=TIMEOUT_S,
                once_limit_s=ONCE_S,
                for_s=FOR_S,
                cooldown_s=COOLDOWN_S,
                approver_grace_s=GRACE_S,
                max_open_questions=MAX_PENDING,
                always_unused_days=1,
            )
        )
        self.world.connection()
        self.now = 0.0
        self.unlocked = True
        self.tabs = 1
        self.alone_since = 0.0
        self.runs = {"a.ipynb": 1, "b.ipynb": 1}
        self.pauses: dict[str, float] = {}
        self.left: dict[str, list[float]] = {}
        self.never: dict[str, str] = {}
        self.asked: list[Asked] = []
        self.held: dict[str, Held] = {}
        self.permissions: dict[str, Permission] = {}
        self.host = 0

    def requester(self, name: str, run: int | None = None) -> Requester:
        return notebook(name, run or self.runs[name])

    # --- what can happen

    @rule(target=callers, name=NAMES, agent=AGENTS, timeout=st.sampled_from([None, 4.0, 20.0, 100.0]))
    def ask(self, name: str, agent: str | None, timeout: float | None) -> object:
        caller = self.world.start(self.requester(name), agent=agent, timeout_s=timeout)
        run = self.runs[name]
        same = [one for one in self.asked if (one.name, one.run, one.agent) == (name, run, agent)]
        standing = [
            one
            for one in self.permissions.values()
            if one.decision in {"session", "for", "always"}
            and one.name == name
            and one.agent == agent
            and one.run in {None, run}
            and one.good(self.now)
        ]
        if name in self.never.values():
            assert caller.error is AccessDenied
        elif not self.unlocked:
            assert caller.error is VaultLocked
        elif standing:
            assert caller.error is None
            best = min(standing, key=lambda one: ["always", "for", "session"].index(one.decision))
            assert caller.answer.decision == best.decision
            self.held[caller.answer.ref] = Held(
                name, run, next(one for one in standing if one.decision == best.decision), best.ends, 1
            )
        elif same:
            assert caller.waits
            same[0].waiting.append(Waiting(caller, self.now + min(TIMEOUT_S, timeout or TIMEOUT_S)))
        elif self.pauses.get(name, 0) > self.now:
            assert caller.error is AccessDenied
        elif sum(one.name == name for one in self.asked) >= MAX_PENDING:
            assert caller.error is TooManyQuestions
        else:
            assert caller.waits
            self.asked.append(
                Asked(
                    name,
                    run,
                    agent,
                    self.now,
                    [Waiting(caller, self.now + min(TIMEOUT_S, timeout or TIMEOUT_S))],
                )
            )
        return caller if caller.waits else multiple()

    @precondition(lambda self: self.asked)
    @rule(
        target=grant_ids,
        which=st.integers(0, 3),
        decision=st.sampled_from(["once", "session", "for", "always"]),
        honest=SELDOM.map(lambda seldom: not seldom),
    )
    def allow(self, which: int, decision: str, honest: bool) -> object:
        return self.decide(which, decision, honest)

    @precondition(lambda self: self.asked)
    @rule(
        target=grant_ids, which=st.integers(0, 3), always=SELDOM, honest=SELDOM.map(lambda seldom: not seldom)
    )
    def deny(self, which: int, always: bool, honest: bool) -> object:
        return self.decide(which, "deny_always" if always else "deny", honest)

    def decide(self, which: int, decision: str, honest: bool) -> object:
        questions = self.world.consent.questions().access_requests
        which %= len(questions)
        question, asked = questions[which], self.asked[which]
        expected: type[ConnvaultError] | None = None
        if not honest:
            expected = AccessRequestChanged
        elif not self.unlocked and not decision.startswith("deny"):
            expected = VaultLocked
        before = {view.grant.id for view in self.world.consent.grants(GrantFilter()).grants}
        try:
            self.world.consent.decide(
                Decide.model_validate(
                    {
                        "id": question.id,
                        "decision": decision,
                        "digest": question.digest if honest else "0" * 64,
                    }
                ),
                actor="ada",
            )
        except ConnvaultError as refused:
            found: type[ConnvaultError] | None = type(refused)
        else:
            found = None
        assert found is expected
        if found is not None:
            return multiple()
        made = [
            view.grant.id
            for view in self.world.consent.grants(GrantFilter()).grants
            if view.grant.id not in before
        ]
        if decision == "deny":
            assert not made
            self.end(asked, AccessDenied)
            self.pauses[asked.name] = self.now + COOLDOWN_S
            return multiple()
        if decision == "deny_always":
            self.never[made[0]] = asked.name
            self.pauses[asked.name] = self.now + COOLDOWN_S
            for one in [one for one in self.asked if one.name == asked.name]:
                self.end(one, AccessDenied)
            return made[0]
        ends = {"once": self.now + ONCE_S, "for": self.now + FOR_S}.get(decision)
        bound = asked.run if decision in {"once", "session"} else None
        permission = Permission(decision, asked.name, bound, asked.agent, ends, self.now)
        self.permissions[made[0]] = permission
        refs = {one.caller.answer.ref for one in asked.waiting}
        assert len(refs) == 1
        self.held[refs.pop()] = Held(asked.name, asked.run, permission, ends, len(asked.waiting))
        self.asked.remove(asked)
        return made[0]

    @rule(caller=consumes(callers))
    def go_away(self, caller: Caller) -> None:
        for one in self.asked:
            for waiting in one.waiting:
                if waiting.caller is caller:
                    caller.go_away()
                    assert caller.error is ConsentWithdrawn
                    one.waiting.remove(waiting)
                    if not one.waiting:
                        self.asked.remove(one)
                        self.unanswered(one.name)
                    return

    def unanswered(self, name: str) -> None:
        before = [at for at in self.left.get(name, []) if at > self.now - COOLDOWN_S]
        self.left[name] = [*before, self.now]
        if len(before) >= MAX_UNANSWERED:
            self.pauses[name] = self.now + COOLDOWN_S

    @rule(seconds=st.sampled_from([0.5, 1, 2, 4, 25, 35, 90, 290, 80_000]))
    def pass_time(self, seconds: float) -> None:
        self.world.clock.forward(seconds)
        self.now += seconds
        self.world.consent.tick()
        for one in [*self.asked]:
            late = [waiting for waiting in one.waiting if waiting.deadline <= self.now]
            if len(late) == len(one.waiting):
                self.end(one, ConsentTimeout)
                self.pauses[one.name] = self.now + COOLDOWN_S
            elif not self.tabs and self.now >= max(self.alone_since, one.asked) + GRACE_S:
                self.end(one, NoApprover)
                self.unanswered(one.name)
            else:
                for waiting in late:
                    assert waiting.caller.error is ConsentTimeout
                    one.waiting.remove(waiting)

    @rule(tabs=st.integers(0, 2))
    def tabs_change(self, tabs: int) -> None:
        if self.tabs and not tabs:
            self.alone_since = self.now
        self.tabs = tabs
        self.world.consent.approvers(tabs)

    @precondition(lambda self: self.unlocked)
    @rule(really=SELDOM)
    def lock(self, really: bool) -> None:
        if really:
            self.world.secrets.lock(actor="ada")
            self.unlocked = False

    @precondition(lambda self: not self.unlocked)
    @rule()
    def unlock(self) -> None:
        self.world.secrets.open_at_start()
        self.unlocked = True

    @rule(name=NAMES, really=SELDOM)
    def restart_kernel(self, name: str, really: bool) -> None:
        if not really:
            return
        self.world.consent.instance_ended(self.requester(name).instance)
        for asked in [one for one in self.asked if one.name == name]:
            self.end(asked, ConsentWithdrawn)
            self.unanswered(name)
        for held in self.held.values():
            held.alive &= held.name != name
        for permission in self.permissions.values():
            permission.alive &= not (permission.name == name and permission.run is not None)
        self.runs[name] += 1

    @rule(name=NAMES, really=SELDOM)
    def delete_notebook(self, name: str, really: bool) -> None:
        if not really:
            return
        self.world.consent.documents_gone([name])
        for permission in self.permissions.values():
            permission.alive &= not (permission.name == name and permission.run is None)

    @rule(grant_id=grant_ids)
    def revoke(self, grant_id: str) -> None:
        known = grant_id in self.never or self.permissions.get(grant_id, NOTHING).alive
        try:
            self.world.consent.revoke(GrantRef(id=grant_id), actor="ada")
        except GrantNotFound:
            assert not known or not self.permissions[grant_id].good(self.now)
        self.never.pop(grant_id, None)
        if grant_id in self.permissions:
            self.permissions[grant_id].alive = False

    @precondition(lambda self: self.unlocked)
    @rule(really=SELDOM)
    def move_to_another_host(self, really: bool) -> None:
        if not really:
            return
        self.host += 1
        (found,) = self.world.connections.list().connections
        self.world.connections.update(
            UpdateConnection.model_validate(
                {
                    "id": found.connection.id,
                    "revision": found.connection.revision,
                    "fields": {**POSTGRES, "host": f"db{self.host}.example.org"},
                    "secrets": {"password": {"value": f"password {self.host}"}},
                }
            ),
            actor="ada",
        )
        for permission in self.permissions.values():
            permission.alive = False

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 30), check=st.booleans())
    def use(self, which: int, check: bool) -> None:
        ref, held = [*self.held.items()][which % len(self.held)]
        requester = self.requester(held.name, held.run)
        found = held.alive and held.permission.alive and (held.ends is None or self.now < held.ends)
        try:
            (self.world.check if check else self.world.deliver)(requester, ref)
        except HandleInvalid:
            assert not found or not held.permission.good(self.now)
        except VaultLocked:
            assert found
            assert not self.unlocked
        else:
            assert found
            assert self.unlocked
            assert held.permission.good(self.now)
            held.permission.used = self.now

    @precondition(lambda self: self.held)
    @rule(which=st.integers(0, 30))
    def release(self, which: int) -> None:
        ref, held = [*self.held.items()][which % len(self.held)]
        good = held.alive and held.permission.alive and (held.ends is None or self.now < held.ends)
        released = self.world.access.release(self.requester(held.name, held.run), HandleUse(ref=ref)).released
        held.shared -= good
        # A permission that nobody used for long is dropped when time is looked at; its handles go with it.
        swept = not released and not held.permission.good(self.now)
        assert swept or released == int(good and not held.shared)
        if released:
            held.alive = False
            if held.permission.decision == "once":
                held.permission.alive = False

    # --- what must always be so

    @invariant()
    def the_questions_are_the_same(self) -> None:
        questions = self.world.consent.questions().access_requests
        assert [(one.requester.label, one.requester.instance, one.agent) for one in questions] == [
            (one.name, self.requester(one.name, one.run).instance, one.agent if self.unlocked else None)
            for one in self.asked
        ]
        assert all(waiting.caller.waits for one in self.asked for waiting in one.waiting)
        assert {one.question_id for one in self.world.stores.questions.all()} == {one.id for one in questions}

    @invariant()
    def the_grants_are_the_same(self) -> None:
        counting = {view.grant.id for view in self.world.consent.grants(GrantFilter()).grants if view.counts}
        assert counting == self.never.keys() | {
            grant_id for grant_id, one in self.permissions.items() if one.good(self.now)
        }

    def end(self, asked: Asked, error: type[ConnvaultError]) -> None:
        assert {one.caller.error for one in asked.waiting} == {error}
        self.asked.remove(asked)

    def teardown(self) -> None:
        self.world.consent.interrupt_all()
        assert self.world.audit.verify().consistent


TestConsent = ConsentMachine.TestCase
TestConsent.settings = settings(max_examples=60, stateful_step_count=50)
