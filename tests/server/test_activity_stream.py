"""The activity log sent elsewhere: everything, in order, once, without claims; and what can't be sent is said."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.audit import ExportAudit, StreamState
from connvault_jupyter.errors import BrokerUnavailable
from connvault_jupyter.server.activity_stream.cursor import Cursor, CursorFile
from connvault_jupyter.server.activity_stream.destinations import Sent
from connvault_jupyter.server.activity_stream.messages import REPLACED
from connvault_jupyter.server.activity_stream.stream import ActivityStream
from connvault_jupyter.services.audit import chain
from tests.services.test_audit_chain import unlocked
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import Rest
from tests.support.canary import CANARY
from tests.support.services.records import write
from tests.support.services.service_world import World, notebook


@dataclass
class Collected:
    """A destination in memory. `most`: how many it takes at once; `refuses`: by sequence, for good."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    down: bool = False
    most: int = 1000
    refuses: frozenset[int] = frozenset()
    killed_after: bool = False

    def send(self, messages: list[dict[str, Any]]) -> Sent:
        if self.down:
            raise ConnectionRefusedError(111, "Connection refused")
        taken = messages[: self.most]
        refused = [one for one in taken if one.get("sequence") in self.refuses]
        self.messages += [one for one in taken if one not in refused]
        if self.killed_after:
            raise KeyboardInterrupt
        return Sent(len(taken), len(refused))

    def close(self) -> None: ...

    @property
    def sequences(self) -> list[int]:
        return [one["sequence"] for one in self.messages]


class Streamed:
    """A stream of a world's record; `anew` is what the next server does."""

    def __init__(self, world: World, folder: Path, to: Collected | None = None) -> None:
        self.world = world
        self.folder = folder
        self.to = to or Collected()
        self.states: list[Mapping[str, Any]] = []
        self.stream = self._made()

    def _made(self) -> ActivityStream:
        return ActivityStream(
            label="memory:",
            sender=self.to,
            cursors=CursorFile(self.folder, "memory:"),
            ask=self._ask,
            tell=self.states.append,
            log=logging.getLogger("connvault_jupyter.stream"),
        )

    def anew(self) -> None:
        held = self.stream._held
        if held is not None:
            held.release()
        self.stream = self._made()

    def _ask(self, operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        if operation == "audit.head":
            return self.world.exports.head().model_dump(mode="json")
        assert operation == "audit.export"
        return self.world.exports.part(ExportAudit(**body)).model_dump(mode="json")


@pytest.fixture
def streamed(tmp_path: Path) -> Streamed:
    world = World()
    world.connection()
    world.request(notebook(), world.answer("always"), reason=f"with {CANARY}", agent="helper")
    write(world)
    return Streamed(world, tmp_path)


def every(world: World) -> list[int]:
    return [one.event.sequence for one in world.storage.tables.audit]


def test_everything_is_sent_in_order_and_once(streamed: Streamed) -> None:
    """From the beginning of the log on; and after a restart only what came since."""
    assert streamed.stream.round()
    assert streamed.stream.round()
    assert streamed.to.sequences == every(streamed.world)
    write(streamed.world)
    streamed.anew()
    assert streamed.stream.round()
    assert streamed.to.sequences == every(streamed.world)


def test_what_is_sent_has_no_claims_and_compares_with_the_log(streamed: Streamed) -> None:
    """Neither their text nor their envelopes; digest and MAC are those of the log."""
    streamed.stream.round()
    text = json.dumps(streamed.to.messages)
    assert CANARY not in text
    for name in ("agent", "reason", "claim", "sealed"):
        assert f'"{name}' not in text
        assert f'{name}":' not in text
    for sent, stored in zip(streamed.to.messages, streamed.world.storage.tables.audit, strict=True):
        assert sent["digest"] == stored.digest.hex()
        assert sent["mac"] == (stored.mac or b"").hex()
        assert sent["type"] == stored.event.type
    assert {one["vault_id"] for one in streamed.to.messages} == {streamed.world.exports.head().vault_id}


@pytest.mark.parametrize("most", [1, 3])
def test_a_destination_that_takes_few_at_once_gets_all(streamed: Streamed, most: int) -> None:
    """In order."""
    streamed.to.most = most
    assert streamed.stream.round()
    assert streamed.to.sequences == every(streamed.world)


def test_a_destination_that_is_down_is_said_and_tried_again(
    streamed: Streamed, caplog: pytest.LogCaptureFixture
) -> None:
    """Once when it begins, once when it is over; nothing is lost."""
    streamed.stream.round()
    streamed.to.down = True
    write(streamed.world)
    for _ in range(3):
        assert not streamed.stream.round()
    assert [one.levelname for one in caplog.records] == ["WARNING"]
    assert "Connection refused" in caplog.text
    state = StreamState.model_validate(dict(streamed.states[-1]))
    assert state.failing_since is not None
    assert state.sent == every(streamed.world)[-1] - 3
    streamed.to.down = False
    assert streamed.stream.round()
    assert streamed.to.sequences == every(streamed.world)
    assert streamed.states[-1]["failing_since"] is None
    assert len(caplog.records) == 2
    assert len(streamed.states) == 3


def test_a_broker_that_is_away_is_waited_for(streamed: Streamed, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a destination is."""

    def away(*_given: object) -> dict[str, Any]:
        raise BrokerUnavailable

    monkeypatch.setattr(streamed.stream, "_ask", away)
    assert not streamed.stream.round()
    monkeypatch.undo()
    assert streamed.stream.round()
    assert streamed.to.sequences == every(streamed.world)


def test_only_what_is_doubtful_is_sent_twice(streamed: Streamed) -> None:
    """Killed after it was sent and before it was noted: the next server can't know."""
    streamed.to.most = 3
    streamed.stream.round()
    streamed.to.killed_after = True
    write(streamed.world, 4)
    with pytest.raises(KeyboardInterrupt):
        streamed.stream.round()
    streamed.to.killed_after = False
    streamed.anew()
    assert streamed.stream.round()
    sequences = streamed.to.sequences
    assert sorted(set(sequences)) == every(streamed.world)
    assert len(sequences) == len(set(sequences)) + 3


def test_refused_events_are_counted_and_not_sent_again(
    streamed: Streamed, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest goes on."""
    streamed.to.refuses = frozenset({2, 4})
    assert streamed.stream.round()
    assert streamed.to.sequences == [one for one in every(streamed.world) if one not in (2, 4)]
    assert streamed.states[-1]["refused"] == 2
    assert "refused 2 events" in caplog.text
    streamed.anew()
    streamed.stream.round()
    assert streamed.states[-1]["refused"] == 2


def test_events_that_were_pruned_before_they_were_sent_are_counted(
    streamed: Streamed, caplog: pytest.LogCaptureFixture
) -> None:
    """And what is left is sent."""
    world = streamed.world
    row = world.storage.tables.audit[3]
    keys = unlocked(world)
    with world.lock:
        world.stores.audit.prune(chain.checkpoint(row.event.sequence, row.digest, keys))
    assert streamed.stream.round()
    assert streamed.to.sequences == every(world)
    assert streamed.states[-1]["lost"] == 4
    assert "4 events" in caplog.text
    row = world.storage.tables.audit[-1]
    write(world, 2)
    streamed.stream.round()
    assert streamed.states[-1]["lost"] == 4


def test_an_event_that_can_not_be_read_is_counted(streamed: Streamed) -> None:
    """In the middle and at the end."""
    del streamed.world.storage.tables.audit[3]
    assert streamed.stream.round()
    assert streamed.to.sequences == every(streamed.world)
    assert streamed.states[-1]["lost"] == 1


Edit = Callable[[World], None]


def _cut(world: World) -> None:
    del world.storage.tables.audit[-2:]


def _rewritten(world: World) -> None:
    _cut(world)
    write(world, 2)


def _grown(world: World) -> None:
    _cut(world)
    write(world, 6)


@pytest.mark.parametrize("edit", [_cut, _rewritten, _grown])
def test_a_log_that_is_not_the_one_that_was_sent_is_said_where_nobody_can_take_it_back(
    streamed: Streamed, edit: Edit, caplog: pytest.LogCaptureFixture
) -> None:
    """With what was sent and what is there now; once; and it goes on from there."""
    write(streamed.world)
    streamed.stream.round()
    last = streamed.to.messages[-1]
    for one in range(2):
        streamed.world.audit.record("connection:tested", decided_by=f"somebody else {one}")
    streamed.stream.round()
    edit(streamed.world)
    before = len(streamed.to.messages)
    sent = streamed.to.messages[-1]
    streamed.anew()
    assert streamed.stream.round()
    assert streamed.stream.round()
    alarms = [one for one in streamed.to.messages if one["type"] == REPLACED]
    assert len(alarms) == 1
    assert (alarms[0]["sent_sequence"], alarms[0]["sent_digest"]) == (sent["sequence"], sent["digest"])
    assert alarms[0]["sequence"] == every(streamed.world)[-1]
    assert len(streamed.to.messages) == before + 1
    assert "not the one that was sent" in caplog.text
    write(streamed.world, 1)
    streamed.stream.round()
    assert streamed.to.sequences[-1] == every(streamed.world)[-1]
    assert last in streamed.to.messages


def test_another_vault_in_the_folder_has_a_stream_of_its_own(streamed: Streamed) -> None:
    """From its beginning."""
    streamed.stream.round()
    other = World(unlocked=False)
    other._randomness(32)
    other.set_up()
    streamed.to.messages.clear()
    streamed.world = other
    streamed.anew()
    assert streamed.stream.round()
    assert streamed.to.sequences == every(other)


def test_of_several_servers_one_sends(streamed: Streamed) -> None:
    """And another one takes its place when it ends."""
    streamed.stream.round()
    write(streamed.world)
    second = Streamed(streamed.world, streamed.folder)
    assert second.stream.round()
    assert second.to.messages == []
    streamed.anew()
    assert second.stream.round()
    assert second.to.sequences == every(streamed.world)[-3:]


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"version": 2}', '{"version": 1, "sequence": -1}', '{"version": 1, "digest": "x"}'],
)
def test_a_cursor_that_can_not_be_read_counts_as_none(tmp_path: Path, text: str) -> None:
    """Sent again is better than not sent."""
    cursors = CursorFile(tmp_path, "memory:")
    cursors.write(Cursor(sequence=5))
    assert cursors.read() == Cursor(sequence=5)
    (file,) = tmp_path.glob("*.json")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_text(text)
    assert cursors.read() == Cursor()


# All of it.


def test_a_server_streams_what_happens(tmp_path: Path) -> None:
    """To a local syslog socket, soon after it happened, and from the next server on without repeating anything.

    While nobody listens, connections are made as fast, and the panel's check of the log says since when."""
    path = tmp_path / "log"
    config = {"ConnvaultExtension": {"activity_stream": f"unix:{path}"}}
    got: list[dict[str, Any]] = []

    def receive(receiver: socket.socket, name: str) -> bool:
        try:
            while True:
                got.append(json.loads(receiver.recv(100_000).partition(b" - {")[2].join([b"{", b""])))
        except BlockingIOError:
            return name in created()

    def failing(rest: Rest) -> bool:
        stream = rest.call("GET", "audit/verification")["stream"]
        return stream is not None and stream["failing_since"] is not None

    def well(rest: Rest) -> bool:
        return not failing(rest)

    def created() -> list[str]:
        return [one["connection"] for one in got if one["type"] == "connection:created"]

    for name in ("warehouse", "lake"):
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
            receiver.setblocking(False)
            with serve(tmp_path / "home", app="server", config=config) as server:
                rest = Rest(server)
                rest.set_up()
                wait_until(partial(failing, rest), deadline_s=30, what="the state of the stream")
                rest.create(name, "redis", {"host": "db.example"}, {"password": CANARY})
                receiver.bind(str(path))
                wait_until(partial(receive, receiver, name), deadline_s=40, what="the events")
                wait_until(partial(well, rest), deadline_s=30, what="the stream to be well")
        path.unlink()
    assert [one["sequence"] for one in got] == [*range(1, len(got) + 1)]
    assert created() == ["warehouse", "lake"]
    assert CANARY not in json.dumps(got)
