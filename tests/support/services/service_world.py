"""The services over the storage in memory, with the real vault and catalogue, a clock in the test's hand, and a person.

What only stands in for the outside: the clock, the person, the OS keyring, the probe, the relays, and who runs.
A connection is in the clear unless another provider than `ledger` is given.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import Future
from dataclasses import fields
from datetime import datetime
from typing import Any

from connvault_jupyter.contracts.access import (
    AccessRequest,
    AccessResponse,
    Decide,
    DecisionKind,
    Delivered,
    Grant,
    GrantFilter,
    HandleState,
    HandleUse,
    OpenHandle,
    Question,
    Requester,
    RevealRequest,
)
from connvault_jupyter.contracts.access import Opened as OpenedHandle
from connvault_jupyter.contracts.audit import AuditEvent, AuditFilter
from connvault_jupyter.contracts.connections import (
    Connection,
    ConnectionRef,
    ConnectionView,
    CreateConnection,
)
from connvault_jupyter.contracts.contract import ConnectionId, GrantId
from connvault_jupyter.contracts.events import Event
from connvault_jupyter.contracts.supervision import BrokerSettings, ConsentSettings
from connvault_jupyter.contracts.vault import CustodianKind, SetUpVault, VaultState
from connvault_jupyter.services.assembly import Assembled, assemble
from connvault_jupyter.services.context import Runtime
from connvault_jupyter.services.identifiers import ref_hash
from connvault_jupyter.services.ports import ProviderRegistry, Wait
from connvault_jupyter.services.relay_ports import RelayOrder
from connvault_jupyter.services.vault_ports import Custodian, VaultPorts
from connvault_jupyter.storage.stores import Stores
from connvault_jupyter.storage.workspace.files import ProjectFiles
from connvault_jupyter.vault.envelope import check_value, derive_keys
from connvault_jupyter.vault.export_file import Argon2ExportFiles
from connvault_jupyter.vault.slot_keys import X25519SlotKeys
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.canary import CANARY
from tests.support.services.expected_waits import expected
from tests.support.services.memory_storage import memory_stores
from tests.support.services.memory_tables import MemoryStorage
from tests.support.services.owned_lock import OwnedLock, at_the_door, guarded, outside
from tests.support.services.stand_ins import (
    Clock,
    MemoryKeyring,
    RecordingProbe,
    RecordingRelays,
    Runs,
    catalogue,
    document_key,
)

PERSON = "ada"
BROKER = "4711:1000"
# Argon2's least: what an export costs is not what is tested.
CHEAP = {"iterations": 1, "memory_kib": 32, "lanes": 1}
POSTGRES: dict[str, Any] = {
    "host": "db.example.org",
    "port": 5432,
    "database": "sales",
    "user": "ada",
    "sslmode": "require",
}


def notebook(path: str = "report.ipynb", run: int = 1, *, durable: bool = True) -> Requester:
    """The requester that a kernel of this notebook is."""
    return Requester(
        kind="notebook",
        key=document_key(path),
        instance=f"kernel:{path}:{run}",
        label=path,
        path=path,
        kernel="Python 3",
        pid=100 + run,
        durable=durable,
        evidence="pid by SO_PEERCRED",
    )


class World:
    """One broker's services. `stores` of another world: two servers on one vault. `approvers`: tabs that could show a
    question; `None`: nobody has told. `root`: the server's, with projects below it.

    The services see stores that only the owner of the lock may use, and a test sees the services as dispatch calls
    them; `stores` are for a look from outside, `services` for what is inside.
    """

    def __init__(
        self,
        *,
        custodians: Mapping[CustodianKind, Custodian] | None = None,
        registry: ProviderRegistry | None = None,
        consent: ConsentSettings | None = None,
        storage: tuple[MemoryStorage, Stores] | None = None,
        clock: Clock | None = None,
        unlocked: bool = True,
        approvers: int | None = 1,
        broker: str = BROKER,
        publish: Callable[[Event], None] | None = None,
        root: str = "/nowhere/at/all",
        **settings: Any,
    ) -> None:
        self.clock = clock or Clock()
        self.storage, self.stores = storage or memory_stores()
        self._grant_of: dict[str, tuple[GrantId, datetime | None]] = {}
        self.lock = OwnedLock()
        self.keyring = MemoryKeyring()
        self.events: list[Event] = []
        self.runs = Runs(root)
        self.probe = RecordingProbe()
        self.relays = RecordingRelays()
        self._random = 0
        self.settings = BrokerSettings(
            data_dir="/data",
            socket_path="/socket",
            server_root="/home/ada",
            version="0",
            consent=consent or ConsentSettings(),
            **settings,
        )
        self.services: Assembled = assemble(
            runtime=Runtime(
                name=broker,
                clock=self.clock,
                randomness=self._randomness,
                publish=publish or self._publish,
                lock=self.lock,
                projects=ProjectFiles(server_root=root),
            ),
            settings=self.settings,
            stores=_guarded(self.stores, self.lock),
            vault=VaultPorts(
                custodians=custodians if custodians is not None else {"os_keyring": self.keyring},
                derive_keys=derive_keys,
                check_value=check_value,
                slot_keys=X25519SlotKeys(),
                export_files=Argon2ExportFiles(costs=CHEAP),
            ),
            registry=registry or catalogue(),
            running=self.runs,
            relays=self.relays,
            connection_check=outside(self.probe, self.lock),
        )
        self.secrets = at_the_door(
            self.services.secrets,
            self.lock,
            without=("set_up", "unlock", "change_passphrase", "open_at_start", "state", "lock"),
        )
        self.slots = at_the_door(self.services.slots, self.lock, without=("add", "remove", "rotate"))
        self.workspaces = at_the_door(self.services.workspaces, self.lock)
        self.connections = at_the_door(self.services.connections, self.lock, without=("test",))
        self.consent = at_the_door(self.services.consent, self.lock, without=("revoke",))
        self.access = at_the_door(
            self.services.access, self.lock, without=("request", "reveal", "open", "has_ended")
        )
        self.audit = at_the_door(self.services.audit, self.lock, without=("verify",))
        self.exports = at_the_door(self.services.exports, self.lock, without=("part", "compare"))
        self.idle_lock = at_the_door(self.services.idle_lock, self.lock, without=("tick",))
        self.connection_exports = at_the_door(
            self.services.connection_exports, self.lock, without=("export",)
        )
        self.connection_imports = at_the_door(
            self.services.connection_imports, self.lock, without=("preview", "take")
        )
        self.proposals = at_the_door(self.services.proposals, self.lock)
        self.sightings = at_the_door(self.services.sightings, self.lock)
        if approvers is not None:
            self.consent.approvers(approvers)
        if unlocked:
            self.set_up()

    def set_up(self) -> VaultState:
        return self.secrets.set_up(SetUpVault(), actor=PERSON)

    def connection(
        self,
        name: str = "warehouse",
        *,
        provider: str = IN_CLEAR,
        fields: Mapping[str, Any] | None = None,
        secrets: Mapping[str, str] | None = None,
        reveal_allowed: bool | None = None,
    ) -> Connection:
        """A new connection; with the canary as its password if nothing else is given."""
        given = {"password": CANARY} if secrets is None else secrets
        view = self.connections.create(
            CreateConnection.model_validate(
                {
                    "provider_id": provider,
                    "name": name,
                    "fields": dict(POSTGRES if fields is None else fields),
                    "reveal_allowed": reveal_allowed,
                    "secrets": {field: {"value": value} for field, value in given.items()},
                }
            ),
            actor=PERSON,
        )
        return view.connection

    def view(self, connection: Connection) -> ConnectionView:
        return self.connections.get(ConnectionRef(id=connection.id))

    def request(
        self,
        requester: Requester,
        wait: Wait,
        name: str = "warehouse",
        **claims: Any,
    ) -> AccessResponse:
        return self.access.request(requester, AccessRequest(connection=name, **claims), wait=wait)

    def start(self, requester: Requester, name: str = "warehouse", **claims: Any) -> Caller:
        """A request that goes on in a thread."""
        return Caller(lambda wait: self.request(requester, wait, name, **claims))

    def deliver(self, requester: Requester, ref: str) -> Delivered:
        return self.access.deliver(requester, HandleUse(ref=ref))

    def open(self, requester: Requester, ref: str, *, tcp: bool = False) -> OpenedHandle:
        return self.access.open(requester, OpenHandle(ref=ref, tcp=tcp))

    def login(self, requester: Requester, ref: str) -> Delivered:
        """What a relay asks for, for a client of its handle."""
        return self.access.login(requester, self.order(requester, ref))

    def still_good(self, requester: Requester, ref: str) -> bool:
        return self.access.still_good(self.order(requester, ref))

    def order(self, requester: Requester, ref: str) -> RelayOrder:
        """What the handle was opened with when it was first looked at."""
        handle = self.stores.handles.get(ref_hash(ref))
        if handle is not None:
            self._grant_of.setdefault(ref, (handle.grant_id or GrantId("none"), handle.expires_at))
        grant_id, expires_at = self._grant_of.get(ref, (GrantId("none"), None))
        return RelayOrder(
            ref=ref,
            requester=requester,
            connection_id=ConnectionId("c" * 22),
            grant_id=grant_id,
            expires_at=expires_at,
            protocol="postgresql",
            fields={},
            tcp=False,
        )

    def check(self, requester: Requester, ref: str) -> HandleState:
        return self.access.check(requester, HandleUse(ref=ref))

    def reveal(self, requester: Requester, ref: str, wait: Wait, **claims: Any) -> Delivered:
        return self.access.reveal(requester, RevealRequest(ref=ref, **claims), wait=wait)

    def question(self) -> Question:
        """The one question that is open."""
        (found,) = self.consent.questions().access_requests
        return found

    def decide(self, decision: DecisionKind, **changes: Any) -> None:
        """The person answers the one question that is open."""
        question = self.question()
        self.consent.decide(
            Decide(**({"id": question.id, "decision": decision, "digest": question.digest} | changes)),
            actor=PERSON,
        )

    def answer(self, decision: DecisionKind, **changes: Any) -> Wait:
        """A wait during which the person answers. The test fails if nobody is asked."""

        def wait(settled: Future[None]) -> bool:
            self.decide(decision, **changes)
            return settled.done()

        return expected(outside(wait, self.lock))

    def meanwhile(self, happening: Callable[[], object]) -> Wait:
        """A wait during which something happens and time is looked at. The test fails if nobody is asked."""
        return expected(self.if_asked(happening))

    def if_asked(self, happening: Callable[[], object]) -> Wait:
        """As `meanwhile`, for whoever counts the questions: it may be that none comes."""

        def wait(settled: Future[None]) -> bool:
            happening()
            self.consent.tick()
            assert settled.done()
            return True

        return outside(wait, self.lock)

    def later(self, seconds: float) -> Wait:
        """A wait during which nobody answers. The test fails if nobody is asked."""
        return expected(self.if_asked(lambda: self.clock.forward(seconds)))

    def grants(self) -> list[Grant]:
        return [view.grant for view in self.consent.grants(GrantFilter()).grants if view.counts]

    def record(self) -> list[AuditEvent]:
        """All rows, oldest first."""
        return [*reversed(self.audit.list(AuditFilter(limit=500)).events)]

    def recorded(self) -> list[str]:
        return [event.type for event in self.record()]

    def _publish(self, event: Event) -> None:
        # What is told must be stored: whoever hears it asks at once.
        assert not self.storage.open
        self.events.append(event)

    def _randomness(self, size: int) -> bytes:
        self._random += 1
        return self._random.to_bytes(4, "big") + bytes(size - 4)


def _guarded(stores: Stores, lock: OwnedLock) -> Stores:
    return Stores(**{one.name: guarded(getattr(stores, one.name), lock) for one in fields(stores)})


def gone(settled: Future[None]) -> bool:
    """A wait in which the requester goes away."""
    return False


def unasked(settled: Future[None]) -> bool:
    """For requests that must not wait for anybody."""
    raise AssertionError("somebody was asked")


class Caller:
    """A request in a thread of its own, as the broker makes it. Made when it waits for a person, or is done."""

    def __init__(self, call: Callable[[Wait], AccessResponse | Delivered]) -> None:
        self._settled: Future[None] | None = None
        self._leave: Future[None] = Future()
        self._outcome: Future[AccessResponse | Delivered] = Future()
        self._arrived = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(call,), daemon=True)
        self._thread.start()
        assert self._arrived.wait(30)

    @property
    def waits(self) -> bool:
        """Whether nothing has been decided about it."""
        return self._settled is not None and not self._settled.done() and not self._outcome.done()

    @property
    def error(self) -> type[BaseException] | None:
        """What it ended with; `None` for an answer. Not for one that waits."""
        assert not self.waits
        return type(error) if (error := self._outcome.exception(30)) else None

    @property
    def answer(self) -> AccessResponse:
        assert not self.waits
        found = self._outcome.result(30)
        assert isinstance(found, AccessResponse)
        return found

    def finished(self) -> AccessResponse | Delivered:
        """What it was answered. Raises: what it ended with."""
        return self._outcome.result(30)

    def go_away(self) -> None:
        """The requester's end of the channel closes."""
        self._leave.set_result(None)
        self._outcome.exception(30)

    def _run(self, call: Callable[[Wait], AccessResponse | Delivered]) -> None:
        try:
            self._outcome.set_result(call(self._wait))
        except BaseException as error:  # noqa: BLE001 - it is looked at in the test's thread
            self._outcome.set_exception(error)
        self._arrived.set()

    def _wait(self, settled: Future[None]) -> bool:
        self._settled = settled
        self._arrived.set()
        first = futures.wait([settled, self._leave], timeout=60, return_when=futures.FIRST_COMPLETED)
        return settled in first.done
