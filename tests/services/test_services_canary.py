"""The canary walks every path of the services over the real storage; nothing but a delivery ever holds it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from connvault_jupyter.contracts.access import GrantFilter
from connvault_jupyter.contracts.audit import AuditFilter, ExportAudit, OwnAuditFilter
from connvault_jupyter.contracts.connections import (
    ConnectionRef,
    CreateConnection,
    SetSecret,
    UpdateConnection,
)
from connvault_jupyter.contracts.problem import problem_of
from connvault_jupyter.contracts.workspaces import ListWorkspaces
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.storage.stores import Stores, open_stores
from tests.support.canary import CANARY, found_in
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.service_world import POSTGRES, World, gone, notebook, unasked
from tests.support.services.transfers import add, exported_with_secrets, imported, previewed


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[Stores]:
    database, stores = open_stores(data_dir=tmp_path / "data")
    with closing(database):
        yield stores


def test_the_secret_is_in_no_answer_event_error_or_file(stores: Stores, tmp_path: Path) -> None:
    """Repr, JSON and traceback of everything that comes out; every file of the storage."""
    world = World(storage=(MemoryStorage(), stores))
    sinks: list[str] = []

    def keep(call: Callable[[], object]) -> None:
        try:
            found = call()
        except ConnvaultError as error:
            sinks.append("".join(traceback.format_exception(error)))
            sinks.append(problem_of(error).model_dump_json())
            sinks.append(repr(error.details))
        else:
            sinks.append(repr(found))
            with suppress(AttributeError):
                sinks.append(found.model_dump_json())  # type: ignore[attr-defined]

    connection = world.connection()
    given = {"provider_id": "postgresql", "name": "b", "fields": POSTGRES}
    for wrong in (
        {"fields": {**POSTGRES, "password": CANARY}},
        {"fields": {**POSTGRES, "port": -1}, "secrets": {"password": {"value": CANARY}}},
        {"secrets": {"pin": {"value": CANARY}}},
        {"provider_id": "nothing", "secrets": {"password": {"value": CANARY}}},
    ):
        request = CreateConnection.model_validate({**given, **wrong})
        keep(lambda request=request: world.connections.create(request, actor="ada"))  # type: ignore[misc]
    replaced = SetSecret.model_validate({"id": connection.id, "field": "password", "value": CANARY})
    keep(lambda: replaced)
    keep(lambda: world.connections.set_secret(replaced, actor="ada"))
    asked = world.request(notebook(), world.answer("session"), reason=f"with {CANARY}", agent=CANARY[:60])
    keep(lambda: asked)
    keep(lambda: world.request(notebook(), unasked, agent=CANARY[:60]))
    keep(lambda: world.request(notebook("b.ipynb"), gone, reason=CANARY))
    delivered = world.deliver(notebook(), asked.ref)
    assert delivered.secrets["password"].get_secret_value() == CANARY
    keep(lambda: delivered)
    keep(lambda: world.check(notebook(), asked.ref))
    shown = world.reveal(notebook(), asked.ref, world.answer("once"), reason=CANARY)
    keep(lambda: shown)
    keep(lambda: world.connections.test(ConnectionRef(id=connection.id), actor="ada"))
    keep(lambda: world.deliver(notebook(run=2), asked.ref))
    file = exported_with_secrets(world)
    keep(lambda: file)
    keep(lambda: previewed(world, file.file))
    keep(lambda: imported(world, file.file, add(as_name="copy")))
    keep(lambda: imported(world, file.file, add()))
    world.secrets.lock(actor="ada")
    keep(lambda: world.connections.set_secret(replaced, actor="ada"))
    keep(lambda: world.deliver(notebook(), asked.ref))
    world.secrets.open_at_start()
    keep(
        lambda: world.connections.update(
            UpdateConnection(id=connection.id, revision=1, fields={**POSTGRES, "host": "b"}), actor="ada"
        )
    )
    for look in (
        world.connections.list,
        lambda: world.connections.summaries(notebook()),
        lambda: world.workspaces.list(ListWorkspaces()),
        world.connections.providers,
        world.consent.questions,
        world.secrets.state,
        world.audit.verify,
        lambda: world.consent.grants(GrantFilter()),
        lambda: world.audit.list(AuditFilter(limit=500)),
        lambda: world.exports.part(ExportAudit()),
        lambda: world.exports.part(ExportAudit(format="csv")),
        world.exports.head,
        lambda: world.audit.own(notebook(), OwnAuditFilter(limit=500)),
        lambda: world.events,
        lambda: [one.__dict__ for one in stores.secrets.all()],
        stores.grants.all,
        lambda: stores.audit.chain(0, 500),
    ):
        keep(look)
    assert len(sinks) > 30
    assert [found for sink in sinks for found in found_in(sink)] == []
    files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert files
    assert [found for path in files for found in found_in(path.read_bytes())] == []


def test_the_search_finds_what_is_there(stores: Stores, tmp_path: Path) -> None:
    """The positive control: a display name is stored as it is."""
    world = World(storage=(MemoryStorage(), stores))
    connection = world.connection()
    world.connections.update(
        UpdateConnection(id=connection.id, revision=1, display_name=CANARY[:100]), actor="ada"
    )
    assert found_in(repr(world.connections.list()))
    assert any(found_in(path.read_bytes()) for path in (tmp_path / "data").rglob("*") if path.is_file())
