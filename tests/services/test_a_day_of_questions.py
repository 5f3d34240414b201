"""How often a person is asked in an ordinary day. More questions than needed make a tired person click."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from connvault_jupyter.contracts.access import DecisionKind, Requester
from connvault_jupyter.contracts.connections import SecretDraft, SetSecret, UpdateConnection
from connvault_jupyter.contracts.vault import UnlockVault
from connvault_jupyter.errors import AccessDenied, ConsentWithdrawn
from tests.support.canary import CANARY
from tests.support.services.service_world import PERSON, World, gone, notebook

HOUR = 3600.0
ORDERS: dict[str, Any] = {"base_url": "https://api.example.org/v1", "auth": "bearer"}


class Day:
    """A person who gives each question the answer that is called for, and counts them."""

    def __init__(self) -> None:
        self.world = World()
        self.warehouse = self.world.connection()
        self.orders = self.world.connection(
            "orders", provider="http", fields=ORDERS, secrets={"token": CANARY}
        )
        self.asked = 0

    def use(
        self, who: Requester, name: str = "warehouse", *, answer: DecisionKind = "session", **claims: Any
    ) -> None:
        """A cell that asks for the connection and uses it ten times."""

        def look() -> None:
            self.asked += 1
            self.world.decide(answer)

        found = self.world.request(who, self.world.if_asked(look), name, **claims)
        for _ in range(10):
            self.world.check(who, found.ref)

    def questions(self) -> int:
        """Since the last time."""
        asked, self.asked = self.asked, 0
        return asked


@pytest.fixture
def day() -> Day:
    return Day()


def script() -> Requester:
    """A script that is started every hour."""
    return notebook("hourly.ipynb").model_copy(
        update={"kind": "script", "key": "script:/home/ada/hourly.py#1", "label": "/home/ada/hourly.py"}
    )


def test_in_an_ordinary_day_a_person_is_asked_once_for_each_matter(day: Day) -> None:
    """And never for going on with what was allowed: not after a break, a lock, a new password, or a second cell."""
    report = notebook()
    for _ in range(20):
        day.use(report)
        day.use(report, "orders", answer="for")
    assert day.questions() == 2

    # A colleague's notebook, and an agent in the first one.
    day.use(notebook("forecast.ipynb"))
    for _ in range(3):
        day.use(report, agent="helper")
    assert day.questions() == 2

    # A break: the vault is locked, the password is changed at the service and here.
    world = day.world
    world.secrets.lock(actor=PERSON)
    world.clock.forward(HOUR)
    world.secrets.unlock(UnlockVault(), actor=PERSON)
    world.connections.set_secret(
        SetSecret(id=day.warehouse.id, field="password", value=SecretStr(CANARY[::-1])), actor=PERSON
    )
    day.use(report)
    day.use(report, "orders")
    day.use(report, agent="helper")
    assert day.questions() == 0

    # What was allowed for this kernel ends with it; what was allowed for hours does not.
    world.runs.ended.add(report.instance)
    report = notebook(run=2)
    day.use(report)
    day.use(report, "orders")
    assert day.questions() == 1

    # A script that may always is asked about once, whoever starts it when.
    for hour in range(24):
        started = script().model_copy(update={"instance": f"process:{hour}"})
        day.use(started, answer="always")
        world.runs.ended.add(started.instance)
        world.clock.forward(HOUR)
    assert day.questions() == 1


def test_a_cell_that_is_interrupted_and_run_again_asks_again_at_once(day: Day) -> None:
    """As often as a person does that."""
    for _ in range(4):
        with pytest.raises(ConsentWithdrawn):
            day.world.request(notebook(), gone)
    day.use(notebook())
    assert day.questions() == 1


def test_a_notebook_that_uses_twenty_connections_is_asked_about_each_and_has_them(day: Day) -> None:
    for number in range(20):
        day.world.connection(f"warehouse-{number}")
    for _ in range(2):
        for number in range(20):
            day.use(notebook(), f"warehouse-{number}")
    assert day.questions() == 20


def test_after_a_no_by_mistake_half_a_minute_is_enough(day: Day) -> None:
    with pytest.raises(AccessDenied):
        day.use(notebook(), answer="deny")
    with pytest.raises(AccessDenied):
        day.use(notebook())
    day.world.clock.forward(31)
    day.use(notebook())
    assert day.questions() == 2


def test_what_a_dialog_shows_is_asked_about_anew_when_it_changes_and_nothing_else_is(day: Day) -> None:
    day.use(notebook(), answer="always")
    assert day.questions() == 1

    def change(**what: Any) -> None:
        now = day.world.view(day.warehouse).connection
        day.world.connections.update(
            UpdateConnection.model_validate({"id": now.id, "revision": now.revision, **what}),
            actor=PERSON,
        )

    change(secrets={"password": SecretDraft(value=SecretStr(CANARY))})
    change(reveal_allowed=not day.warehouse.reveal_allowed)
    day.use(notebook(), answer="always")
    assert day.questions() == 0
    change(fields={**day.warehouse.fields, "database": "returns"})
    day.use(notebook(), answer="always")
    assert day.questions() == 1
