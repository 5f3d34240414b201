"""The activity log sent elsewhere: everything, in order, once, without claims; and what can't be sent is said."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from connvault_jupyter.contracts.audit import ExportAudit, StreamState
from connvault_jupyter.errors import BrokerUnavailable
from connvault_jupyter.server.activity_stream.cursor import Cursor, CursorFile
from connvault_jupyter.server.activity_stream.destinations import Destination, Sent, destination
from connvault_jupyter.server.activity_stream.messages import REPLACED
from connvault_jupyter.server.activity_stream.otlp import OtlpSender
from connvault_jupyter.server.activity_stream.stream import ActivityStream
from connvault_jupyter.server.activity_stream.syslog import SyslogSender, line
from connvault_jupyter.server.extension import ConnvaultExtension
from connvault_jupyter.services.audit import chain
from tests.services.test_audit_chain import unlocked
from tests.services.test_record_of_old_keys import write
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import Rest
from tests.support.canary import CANARY
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


# Addresses.


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("unix:/dev/log", Destination("unix", path="/dev/log")),
        ("udp://logs.example", Destination("udp", host="logs.example", port=514)),
        ("tcp://[::1]:6514", Destination("tcp", host="::1", port=6514)),
        ("http://127.0.0.1:4318", Destination("http", host="127.0.0.1", url="http://127.0.0.1:4318/v1/logs")),
        ("https://o.example/x/logs", Destination("https", host="o.example", url="https://o.example/x/logs")),
    ],
)
def test_an_address_is_understood(text: str, found: Destination) -> None:
    """With the ports and the path that are usual."""
    assert destination(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "logs.example",
        "file:///tmp/log",
        "udp://",
        "udp://logs.example/path",
        "unix:dev/log",
        "https://user:secret@o.example/",
        "https://o.example/?key=secret",
        "tcp://logs.example:99999",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    """Somebody may have put a credential there; a wrong setting stops connvault, as each does."""
    extension = ConnvaultExtension()
    extension.update_config(Config({"ConnvaultExtension": {"activity_stream": text}}))
    assert extension._refusal is not None
    assert "activity_stream" in extension._refusal.message
    assert "secret" not in extension._refusal.message
    with pytest.raises(TraitError):
        extension.activity_stream = text


# Syslog.

MESSAGE = {"type": "access:used", "at": "2026-11-24T12:00:00.123456+00:00", "outcome": "ok", "sequence": 7}


def test_a_line_is_that_of_rfc_5424() -> None:
    """Facility 13; the severity follows from the outcome; JSON in ASCII."""
    made = line({**MESSAGE, "connection": "caf\u00e9"}, "host").decode("ascii")
    head, _, content = made.partition(" - access:used - ")
    assert head == "<110>1 2026-11-24T12:00:00.123456+00:00 host connvault"
    assert json.loads(content)["connection"] == "caf\u00e9"
    for outcome, priority in (("refused", 109), ("failed", 108)):
        assert line({**MESSAGE, "outcome": outcome}, "h").startswith(b"<%d>1 " % priority)
    assert line({**MESSAGE, "type": REPLACED}, "h").startswith(b"<108>1 ")
    assert b"\n" not in line({**MESSAGE, "decided_by": "a\nb"}, "h")


@pytest.mark.parametrize("kind", ["unix", "udp"])
def test_datagrams_arrive_one_a_message(tmp_path: Path, kind: str) -> None:
    """One that is too long for the system is refused, and the next one is sent."""
    family = socket.AF_UNIX if kind == "unix" else socket.AF_INET
    with closing(socket.socket(family, socket.SOCK_DGRAM)) as receiver:
        receiver.bind(str(tmp_path / "log") if kind == "unix" else ("127.0.0.1", 0))
        receiver.settimeout(10)
        to = (
            Destination("unix", path=str(tmp_path / "log"))
            if kind == "unix"
            else Destination("udp", host="127.0.0.1", port=receiver.getsockname()[1])
        )
        sender = SyslogSender(to, hostname="a host")
        huge = {**MESSAGE, "evidence": "x" * 10_000_000}
        assert sender.send([MESSAGE, huge, MESSAGE]) == Sent(3, 1)
        got = [receiver.recv(100_000) for _ in range(2)]
        sender.close()
    assert got == [line(MESSAGE, "ahost")] * 2


def test_a_local_socket_that_is_not_there_is_an_error_until_it_is(tmp_path: Path) -> None:
    """The daemon is restarted: the socket is another one."""
    path = tmp_path / "log"
    sender = SyslogSender(Destination("unix", path=str(path)), hostname="h")
    with pytest.raises(OSError, match="No such file"):
        sender.send([MESSAGE])
    for _ in range(2):
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as receiver:
            receiver.bind(str(path))
            receiver.settimeout(10)
            try:
                sender.send([MESSAGE])
            except OSError:
                sender.send([MESSAGE])
            assert receiver.recv(10_000) == line(MESSAGE, "h")
        path.unlink()
    sender.close()


def test_over_tcp_octets_are_counted() -> None:
    """RFC 6587: a line break in a message would end nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        sender = SyslogSender(
            Destination("tcp", host="127.0.0.1", port=listener.getsockname()[1]), hostname="h"
        )
        assert sender.send([MESSAGE, MESSAGE]) == Sent(2)
        connection, _ = listener.accept()
        sender.close()
        with connection:
            got = b""
            while more := connection.recv(10_000):
                got += more
    one = line(MESSAGE, "h")
    assert got == (b"%d " % len(one) + one) * 2


# OpenTelemetry.


@dataclass
class Collector:
    url: str = ""
    status: int = 200
    answer: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    bodies: list[Any] = field(default_factory=list)


@contextmanager
def collecting() -> Iterator[Collector]:
    """A real HTTP server that keeps what it was sent."""
    found = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            found.headers = dict(self.headers)
            found.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(found.status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(found.answer)))
            self.end_headers()
            self.wfile.write(found.answer)

        def log_message(self, *_given: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def test_records_are_those_of_otlp(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the collector's credentials from the environment."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "api-key=a%20key, empty=,other=x")
    with collecting() as collector:
        sender = OtlpSender(destination(collector.url), hostname="h")
        assert sender.send([MESSAGE, {**MESSAGE, "outcome": "failed"}]) == Sent(2)
    assert collector.headers["Api-Key"] == "a key"
    assert collector.headers["Content-Type"] == "application/json"
    (resource,) = collector.bodies[0]["resourceLogs"]
    assert {"key": "service.name", "value": {"stringValue": "connvault"}} in resource["resource"][
        "attributes"
    ]
    used, failed = resource["scopeLogs"][0]["logRecords"]
    assert used["timeUnixNano"] == "1795521600123456000"
    assert (used["severityNumber"], failed["severityNumber"]) == (9, 13)
    assert used["body"] == {"stringValue": "access:used"}
    assert {"key": "connvault.sequence", "value": {"intValue": "7"}} in used["attributes"]


@pytest.mark.parametrize(
    ("status", "answer", "sent"),
    [
        (200, b"", Sent(2)),
        (200, b"not json", Sent(2)),
        (200, b'{"partialSuccess":{"rejectedLogRecords":"1"}}', Sent(2, 1)),
        (200, b'{"partialSuccess":{"rejectedLogRecords":99}}', Sent(2, 2)),
        (400, b"", Sent(2, 2)),
        (413, b"", Sent(2, 2)),
        (302, b"", None),
        (401, b"", None),
        (429, b"", None),
        (503, b"", None),
    ],
)
def test_what_a_collector_answers_counts(status: int, answer: bytes, sent: Sent | None) -> None:
    """Refused for good, or to be tried again; a redirect is not followed."""
    with collecting() as collector:
        collector.status, collector.answer = status, answer
        sender = OtlpSender(destination(collector.url))
        if sent is None:
            with pytest.raises(OSError, match=f"HTTP {status}"):
                sender.send([MESSAGE, MESSAGE])
        else:
            assert sender.send([MESSAGE, MESSAGE]) == sent
    assert len(collector.bodies) == 1


def test_a_collector_that_is_not_there_is_an_error() -> None:
    """Of the system."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        OtlpSender(destination(f"http://127.0.0.1:{port}")).send([MESSAGE])


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
