"""The stores of connections against a dictionary, and against each other: any order of operations, the same answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connvault_jupyter.contracts.connections import Connection
from connvault_jupyter.contracts.supervision import ConnectionStoreKind
from connvault_jupyter.errors import ConnectionNotFound, ConnvaultError, NameTaken, RevisionConflict
from connvault_jupyter.services.ports import StoredConnection
from connvault_jupyter.storage.conformance.samples import NOON, append, connection, grant, outcome, secret
from connvault_jupyter.storage.database import Database
from connvault_jupyter.storage.stores import Stores, open_stores

IDS = st.sampled_from(["c1", "c2", "c3"])
NAMES = st.sampled_from(["lake", "Lake", "LAKE", "warehouse", "x.y-z_1"])
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
FIELDS = st.dictionaries(st.sampled_from(["host", "port", "tls"]), VALUES)
REVISIONS = st.integers(min_value=1, max_value=4)


class ConnectionStoreMachine(RuleBasedStateMachine):
    """The dictionary is the oracle: it knows nothing of SQL, collations or transactions."""

    kind: ConnectionStoreKind = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="connvault-"))
        self.known: dict[str, Connection] = {}
        self.open()

    def open(self) -> None:
        self.database, self.stores = open_stores(
            data_dir=self.directory / "connvault", connection_store=self.kind
        )

    def teardown(self) -> None:
        self.database.close()
        shutil.rmtree(self.directory)

    def taken(self, wanted: Connection) -> bool:
        return any(
            known.name.lower() == wanted.name.lower() and known.id != wanted.id
            for known in self.known.values()
        )

    @precondition(lambda self: len(self.known) < 3)
    @rule(identity=IDS, name=NAMES, fields=FIELDS)
    def add(self, identity: str, name: str, fields: dict[str, object]) -> None:
        if identity in self.known:
            return
        wanted = connection(identity, name=name, fields=fields)
        expected = NameTaken if self.taken(wanted) else None
        assert self.raised(lambda: self.stores.connections.add(wanted)) is expected
        if expected is None:
            self.known[identity] = wanted

    @rule(identity=IDS, name=NAMES, fields=FIELDS, revision=REVISIONS)
    def update(self, identity: str, name: str, fields: dict[str, object], revision: int) -> None:
        wanted = connection(identity, name=name, fields=fields, revision=revision + 1)
        expected = self.refusal(identity, revision) or (NameTaken if self.taken(wanted) else None)
        found = self.raised(lambda: self.stores.connections.update(wanted, expected_revision=revision))
        assert found is expected
        if expected is None:
            self.known[identity] = wanted

    @rule(identity=IDS, revision=REVISIONS)
    def remove(self, identity: str, revision: int) -> None:
        expected = self.refusal(identity, revision)
        found = self.raised(lambda: self.stores.connections.remove(identity, expected_revision=revision))
        assert found is expected
        if expected is None:
            del self.known[identity]

    @rule()
    def open_again(self) -> None:
        self.database.close()
        self.open()

    @invariant()
    def the_same_is_found(self) -> None:
        by_name = sorted(self.known.values(), key=lambda known: known.name.lower())
        assert [found.connection for found in self.stores.connections.all()] == by_name
        for identity in ("c1", "c2", "c3"):
            assert self.found(self.stores.connections.get(identity)) == self.known.get(identity)
        for name in ("lake", "Lake", "LAKE"):
            expected = next((known for known in by_name if known.name == name), None)
            assert self.found(self.stores.connections.by_name(name)) == expected

    def found(self, stored: StoredConnection | None) -> Connection | None:
        return None if stored is None else stored.connection

    def refusal(self, identity: str, revision: int) -> type[ConnvaultError] | None:
        if identity not in self.known:
            return ConnectionNotFound
        return None if self.known[identity].revision == revision else RevisionConflict

    @staticmethod
    def raised(call: Callable[[], None]) -> type[ConnvaultError] | None:
        try:
            call()
        except ConnvaultError as error:
            return type(error)
        return None


class JsonConnectionStoreMachine(ConnectionStoreMachine):
    """The same with the file."""

    kind = "json"


class Interrupted(Exception):
    """Ends a block early."""


REFS = st.sampled_from(["r1", "r2", "r3"])
SECRETS = st.sampled_from(["password", "token"])
OPERATIONS = st.one_of(
    st.tuples(st.just("add"), IDS, NAMES, FIELDS),
    st.tuples(st.just("update"), IDS, NAMES, REVISIONS),
    st.tuples(st.just("remove"), IDS, REVISIONS),
    st.tuples(st.just("put"), IDS, SECRETS, REFS),
    st.tuples(st.just("unput"), IDS, SECRETS),
    st.tuples(st.just("touch"), IDS),
    st.tuples(st.just("test"), IDS),
    st.tuples(st.just("grant"), IDS),
    st.tuples(st.just("revoke"), IDS),
    st.tuples(st.just("record"), IDS),
)
BLOCKS = st.sampled_from(["transaction", "not durable", "escape", "erasing"])


class BothStoresMachine(RuleBasedStateMachine):
    """Does the same to both; each is the other's oracle, and neither knows what the other is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="connvault-"))
        self.opened: dict[ConnectionStoreKind, tuple[Database, Stores]] = {}
        self.open_again()

    def teardown(self) -> None:
        for database, _ in self.opened.values():
            database.close()
        shutil.rmtree(self.directory)

    @rule()
    def open_again(self) -> None:
        for database, _ in self.opened.values():
            database.close()
        for kind in get_args(ConnectionStoreKind):
            self.opened[kind] = open_stores(data_dir=self.directory / kind, connection_store=kind)

    @rule(operation=OPERATIONS)
    def alone(self, operation: tuple[Any, ...]) -> None:
        self.both(lambda stores: self.do(stores, operation))

    @rule(block=BLOCKS, operations=st.lists(OPERATIONS, max_size=4), interrupted=st.booleans())
    def in_a_block(self, block: str, operations: list[tuple[Any, ...]], interrupted: bool) -> None:
        def done(stores: Stores) -> list[object]:
            transactions = stores.transactions
            with {
                "transaction": transactions.transaction,
                "not durable": lambda: transactions.transaction(durable=False),
                "escape": transactions.escape,
                "erasing": transactions.erasing,
            }[block]():
                found = [self.do(stores, operation) for operation in operations]
                found.append(self.state(stores))
                if interrupted:
                    raise Interrupted
            return found

        self.both(done)

    @invariant()
    def the_same_is_found(self) -> None:
        self.both(self.state)

    def both(self, call: Callable[[Stores], object]) -> None:
        """The same answer, or the same error."""
        found = []
        for _, stores in self.opened.values():
            try:
                found.append(call(stores))
            except (ConnvaultError, Interrupted) as error:
                found.append(type(error))
        assert found[0] == found[1]

    @staticmethod
    def do(stores: Stores, operation: tuple[Any, ...]) -> object:
        name, identity, *more = operation
        match name:
            case "add":
                stores.connections.add(connection(identity, name=more[0], fields=more[1]), b"mac")
            case "update":
                changed = connection(identity, name=more[0], revision=more[1] + 1)
                stores.connections.update(changed, expected_revision=more[1])
            case "remove":
                stores.connections.remove(identity, expected_revision=more[0])
            case "put":
                stores.secrets.put(secret(identity, more[0], ref=more[1]))
            case "unput":
                return stores.secrets.remove(identity, more[0])
            case "touch":
                stores.connections.touch(identity, NOON)
            case "test":
                stores.connections.save_test(identity, outcome())
            case "grant":
                stores.grants.add(grant(f"g-{identity}", connection_id=identity), b"mac")
            case "revoke":
                return stores.grants.remove(f"g-{identity}")
            case _:
                return append(stores, connection_id=identity)
        return None

    @staticmethod
    def state(stores: Stores) -> object:
        connections, secrets = stores.connections, stores.secrets
        return [
            connections.all(),
            [connections.get(identity) for identity in ("c1", "c2", "c3")],
            [connections.by_name(name) for name in ("lake", "Lake", "LAKE")],
            connections.last_used(),
            connections.tests(),
            secrets.all(),
            [secrets.of(identity) for identity in ("c1", "c2", "c3")],
            [secrets.get(identity, "token") for identity in ("c1", "c2", "c3")],
            secrets.fields(),
            secrets.fields("c1"),
            stores.grants.all(),
            stores.audit.head(),
        ]


SETTINGS = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestConnectionStoreMachine = ConnectionStoreMachine.TestCase
TestJsonConnectionStoreMachine = JsonConnectionStoreMachine.TestCase
TestBothStoresMachine = BothStoresMachine.TestCase
TestConnectionStoreMachine.settings = SETTINGS
TestJsonConnectionStoreMachine.settings = SETTINGS
TestBothStoresMachine.settings = SETTINGS
