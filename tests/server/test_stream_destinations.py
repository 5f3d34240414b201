"""Where the activity log is sent: addresses, syslog, and a collector of OpenTelemetry."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config

from connvault_jupyter.server.activity_stream.destinations import Destination, Sent, destination
from connvault_jupyter.server.activity_stream.messages import REPLACED
from connvault_jupyter.server.activity_stream.otlp import OtlpSender
from connvault_jupyter.server.activity_stream.syslog import SyslogSender, line
from connvault_jupyter.server.extension import ConnvaultExtension

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
        "udp://logs.example:secret",
        "https://o.example:secret/",
        "https://[secret/",
        "http://o.example/\x1b[8m",
        "http://o.example/a b",
        "unix:/dev/log\0",
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


def test_over_tcp_a_daemon_that_was_restarted_misses_nothing() -> None:
    """The system takes what is written to a connection that the other end has closed; nobody would ever read it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(10)
        to = Destination("tcp", host="127.0.0.1", port=listener.getsockname()[1])
        sender = SyslogSender(to, hostname="h")
        for _ in range(3):
            sender.send([MESSAGE])
            connection, _ = listener.accept()
            with connection:
                # Some daemons greet.
                connection.sendall(b"hello")
                assert connection.recv(10_000).endswith(line(MESSAGE, "h"))
        sender.close()


def test_over_tcp_one_connection_serves_all_messages() -> None:
    """As long as the other end has it open, also if it says something."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(10)
        to = Destination("tcp", host="127.0.0.1", port=listener.getsockname()[1])
        sender = SyslogSender(to, hostname="h")
        sender.send([MESSAGE])
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(10)
            for _ in range(2):
                assert connection.recv(10_000).endswith(line(MESSAGE, "h"))
                connection.sendall(b"hello")
                sender.send([MESSAGE])
        sender.close()


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
