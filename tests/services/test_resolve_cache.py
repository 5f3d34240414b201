"""What was found out about a handle is used again only while nothing has changed: over the real storage."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.access import AccessRequest, Decide, GrantRef, HandleUse, Requester
from connvault_jupyter.contracts.connections import ConnectionRef, CreateConnection, UpdateConnection
from connvault_jupyter.contracts.supervision import BrokerSettings
from connvault_jupyter.contracts.vault import SetUpVault, UnlockVault
from connvault_jupyter.errors import HandleInvalid, SecretMissing, VaultLocked
from connvault_jupyter.providers.registry import ProviderCatalogue
from connvault_jupyter.services.assembly import Assembled, assemble
from connvault_jupyter.services.context import Runtime
from connvault_jupyter.services.vault_ports import VaultPorts
from connvault_jupyter.storage.stores import open_stores
from connvault_jupyter.storage.workspace.files import ProjectFiles
from connvault_jupyter.vault.envelope import check_value, derive_keys
from connvault_jupyter.vault.export_file import Argon2ExportFiles
from connvault_jupyter.vault.passphrase import PassphraseCustodian
from connvault_jupyter.vault.slot_keys import X25519SlotKeys
from tests.support.broker.in_clear import PROVIDERS
from tests.support.services.service_world import notebook
from tests.support.services.stand_ins import Clock, RecordingRelays

PASSPHRASE = "correct horse battery staple"
FIELDS = {"host": "db.example.org", "port": 5432, "database": "sales", "user": "app", "sslmode": "require"}


class Running:
    """All runs go on, all names stay."""

    def instance_alive(self, _instance: str) -> bool:
        return True

    def current(self, requester: Any) -> Any:
        return requester

    def folder_of(self, requester: Requester) -> str | None:
        return None

    def key_of_document(self, path: str) -> str:
        return path


@dataclass
class Broker:
    """The services of one broker on a data directory, and its clock."""

    services: Assembled
    clock: Clock

    def deliver(self, ref: str) -> str:
        delivered = self.services.access.deliver(notebook(), HandleUse(ref=ref))
        return delivered.secrets["password"].get_secret_value()

    def answer(self, decision: str) -> Any:
        def wait(_settled: object) -> bool:
            (question,) = self.services.consent.questions().access_requests
            body = {"id": question.id, "decision": decision, "digest": question.digest}
            self.services.consent.decide(Decide.model_validate(body), actor="ada")
            return True

        return wait

    def ask(self, decision: str) -> str:
        request = AccessRequest(connection="warehouse")
        return self.services.access.request(notebook(), request, wait=self.answer(decision)).ref


@pytest.fixture
def open_broker(tmp_path: Path) -> Iterator[Any]:
    opened = []

    def start(clock: Clock | None = None) -> Broker:
        database, stores = open_stores(data_dir=tmp_path / "vault")
        opened.append(database)
        clock = clock or Clock()
        settings = BrokerSettings(
            data_dir=str(tmp_path), socket_path="s", server_root="/srv", custodian="passphrase", version="1"
        )
        services = assemble(
            runtime=Runtime(
                name=f"{len(opened)}:1",
                clock=clock,
                randomness=os.urandom,
                publish=lambda _: None,
                lock=threading.RLock(),
                projects=ProjectFiles(server_root=str(tmp_path)),
            ),
            settings=settings,
            stores=stores,
            vault=VaultPorts(
                custodians={"passphrase": PassphraseCustodian()},
                derive_keys=derive_keys,
                check_value=check_value,
                slot_keys=X25519SlotKeys(),
                export_files=Argon2ExportFiles(),
            ),
            registry=ProviderCatalogue(packages=False, directories=[str(PROVIDERS)]),
            running=Running(),
            relays=RecordingRelays(),
            connection_check=lambda *_: pytest.fail("nothing is tested here"),
        )
        services.consent.approvers(1)
        return Broker(services, clock)

    yield start
    for database in opened:
        database.close()


@pytest.fixture
def broker(open_broker: Any) -> Broker:
    """Unlocked, with one ready connection."""
    broker: Broker = open_broker()
    broker.services.secrets.set_up(SetUpVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    body = {"provider_id": "ledger", "name": "warehouse", "fields": FIELDS}
    secrets = {"password": {"value": "first"}}
    broker.services.connections.create(
        CreateConnection.model_validate({**body, "secrets": secrets}), actor="ada"
    )
    return broker


def connection_id(broker: Broker) -> str:
    return broker.services.connections.list().connections[0].connection.id


def grant_id(broker: Broker) -> str:
    from connvault_jupyter.contracts.access import GrantFilter

    return broker.services.consent.grants(GrantFilter()).grants[0].grant.id


def test_when_revoked_here_the_next_use_is_refused(broker: Broker) -> None:
    """Although the use before was remembered."""
    ref = broker.ask("session")
    assert [broker.deliver(ref), broker.deliver(ref)] == ["first", "first"]
    broker.services.consent.revoke(GrantRef(id=grant_id(broker)), actor="ada")
    with pytest.raises(HandleInvalid):
        broker.deliver(ref)


def test_when_revoked_by_another_server_the_next_use_is_refused(broker: Broker, open_broker: Any) -> None:
    """Its commit is seen before anything remembered is used."""
    ref = broker.ask("session")
    assert [broker.deliver(ref), broker.deliver(ref)] == ["first", "first"]
    other: Broker = open_broker(broker.clock)
    other.services.consent.revoke(GrantRef(id=grant_id(other)), actor="bob")
    with pytest.raises(HandleInvalid):
        broker.deliver(ref)


def test_when_the_secret_was_replaced_elsewhere_the_next_use_gets_the_new_one(
    broker: Broker, open_broker: Any
) -> None:
    """Rotation is picked up at once."""
    from connvault_jupyter.contracts.connections import SetSecret

    ref = broker.ask("session")
    assert [broker.deliver(ref), broker.deliver(ref)] == ["first", "first"]
    other: Broker = open_broker(broker.clock)
    other.services.secrets.unlock(UnlockVault.model_validate({"passphrase": PASSPHRASE}), actor="bob")
    body = {"id": connection_id(other), "field": "password", "value": "second"}
    other.services.connections.set_secret(SetSecret.model_validate(body), actor="bob")
    assert broker.deliver(ref) == "second"


def test_when_locked_the_next_use_is_refused_and_works_after_unlocking(broker: Broker) -> None:
    """What is remembered holds no key."""
    ref = broker.ask("session")
    broker.deliver(ref)
    broker.services.secrets.lock(actor="ada")
    with pytest.raises(VaultLocked):
        broker.deliver(ref)
    broker.services.secrets.unlock(UnlockVault.model_validate({"passphrase": PASSPHRASE}), actor="ada")
    assert broker.deliver(ref) == "first"


def test_when_its_time_is_over_the_next_use_is_refused(broker: Broker) -> None:
    """Nothing but the clock has changed."""
    ref = broker.ask("once")
    broker.deliver(ref)
    broker.clock.forward(3600)
    with pytest.raises(HandleInvalid):
        broker.deliver(ref)


def test_when_the_destination_changes_the_next_use_is_refused(broker: Broker) -> None:
    """The grant was for the old one."""
    ref = broker.ask("session")
    broker.deliver(ref)
    body = {"id": connection_id(broker), "revision": 1, "fields": {**FIELDS, "host": "elsewhere.example.org"}}
    broker.services.connections.update(UpdateConnection.model_validate(body), actor="ada")
    with pytest.raises((HandleInvalid, SecretMissing)):
        broker.deliver(ref)


def test_when_another_run_has_the_ref_it_gets_nothing(broker: Broker) -> None:
    """A remembered handle is its own run's only."""
    ref = broker.ask("session")
    broker.deliver(ref)
    with pytest.raises(HandleInvalid):
        broker.services.access.deliver(notebook("other.ipynb"), HandleUse(ref=ref))


def test_when_used_often_the_counts_are_right_in_the_list(broker: Broker) -> None:
    """They are stored late, and shown as if they were not."""
    from connvault_jupyter.contracts.access import GrantFilter

    ref = broker.ask("session")
    for _ in range(5):
        broker.deliver(ref)
    last: datetime = broker.clock.now + timedelta(seconds=7)
    broker.clock.forward(7)
    broker.deliver(ref)
    (view,) = broker.services.consent.grants(GrantFilter()).grants
    assert (view.uses, view.last_used_at) == (6, last)
    seen = broker.services.connections.get(ConnectionRef(id=connection_id(broker)))
    assert seen.last_used_at == last
