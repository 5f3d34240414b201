"""The store of connections against a dictionary: any order of operations, the same answers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connvault_jupyter.contracts.connections import Connection
from connvault_jupyter.errors import ConnectionNotFound, ConnvaultError, NameTaken, RevisionConflict
from connvault_jupyter.services.ports import StoredConnection
from connvault_jupyter.storage.conformance.samples import connection
from connvault_jupyter.storage.stores import open_stores

IDS = st.sampled_from(["c1", "c2", "c3"])
NAMES = st.sampled_from(["lake", "Lake", "LAKE", "warehouse", "x.y-z_1"])
VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
FIELDS = st.dictionaries(st.sampled_from(["host", "port", "tls"]), VALUES)
REVISIONS = st.integers(min_value=1, max_value=4)


class ConnectionStoreMachine(RuleBasedStateMachine):
    """The dictionary is the oracle: it knows nothing of SQL, collations or transactions."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="connvault-"))
        self.known: dict[str, Connection] = {}
        self.open()

    def open(self) -> None:
        self.database, self.stores = open_stores(data_dir=self.directory / "connvault")

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


TestConnectionStoreMachine = ConnectionStoreMachine.TestCase
TestConnectionStoreMachine.settings = settings(
    max_examples=25, stateful_step_count=15, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
