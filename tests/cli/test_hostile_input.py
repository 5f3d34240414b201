"""What commands about the vault are given by others: no traceback, and no moved cursor."""

from __future__ import annotations

import argparse
import io
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from connvault_jupyter.cli import running_server, transfer
from connvault_jupyter.cli.main import main
from connvault_jupyter.cli.prompts import Prompts
from connvault_jupyter.cli.verbs import performed, say, told
from connvault_jupyter.errors import BrokerUnavailable, ConnectionNotFound, InvalidRequest

HIDING = "\x1b[8m"


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where servers say of themselves that they run: none do."""
    folder = tmp_path / "runtime"
    folder.mkdir()
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(folder))
    for name in ("JUPYTER_SERVER_URL", "JUPYTER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return folder


# What is printed.


def test_a_file_that_is_verified_can_not_hide_what_is_said_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its first line may say anything."""
    header = {
        "record": "connvault-activity",
        "version": 1,
        "vault_id": "v",
        "made_at": f"now{HIDING}",
        "first": 1,
        "last": 0,
        "filter": None,
        "start": None,
        "end": None,
        "head": {"sequence": 0, "digest": "00"},
        "claims_shown": True,
    }
    write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
    file = tmp_path / "log.jsonl"
    file.write_text(f"{write(header)}\n{write({'record': 'end', 'last': 0})}\n")
    assert main(["activity", "verify", "--offline", str(file)]) == 0
    said = capsys.readouterr().out
    assert "exported now?[8m." in said
    assert "\x1b" not in said


def status_of(perform: Callable[[argparse.Namespace], int]) -> int:
    return performed(argparse.Namespace(perform=perform, json=False))


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def perform(_: argparse.Namespace) -> int:
        raise error

    return perform


def test_neither_an_answer_nor_a_refusal_moves_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """A name of an imported file, the address of another server, a label of a slot."""
    say(f"a{HIDING}b")
    told(argparse.Namespace(json=True), {"a": HIDING}, [])
    told(argparse.Namespace(json=False), {}, [f"c{HIDING}\rd"])
    assert status_of(raising(ConnectionNotFound(f"e{HIDING}", connection=f"f{HIDING}"))) == 77
    out, err = capsys.readouterr()
    assert "\x1b" not in out + err
    assert "\r" not in out
    assert json.loads(out.splitlines()[1]) == {"a": HIDING}


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (FileNotFoundError(2, "No such file", "/home/ada/moved"), 73, "/home/ada/moved: No such file."),
        (OSError(28, "No space left on device"), 73, "connvault: No space left on device."),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_a_failure_says_of_what(
    error: BaseException, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """And with which status."""
    assert status_of(raising(error)) == status
    assert said in capsys.readouterr().err


# What is typed.


def test_what_is_no_text_is_refused_without_quoting_it() -> None:
    """Python's own error has the passphrase in its frames, and where it was lenient, in the request."""
    for given in (io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8"), io.StringIO("caf\udce9\n")):
        with mock.patch("sys.stdin", given), pytest.raises(InvalidRequest, match="LANG") as refused:
            Prompts(from_stdin=True).secret("Passphrase")
        assert refused.value.__suppress_context__
        assert "caf" not in str(refused.value)


@pytest.mark.parametrize("error", [EOFError(), UnicodeDecodeError("utf-8", b"caf\xe9", 3, 4, "invalid")])
def test_an_end_of_the_typing_is_a_refusal(error: Exception) -> None:
    """Ctrl-D, or a terminal with another encoding."""
    with (
        mock.patch.object(Prompts, "_check_terminal"),
        mock.patch("getpass.getpass", side_effect=error),
        pytest.raises(InvalidRequest),
    ):
        Prompts(from_stdin=False).secret("Passphrase")


# Who answers.

INFOS: dict[str, dict[str, Any]] = {
    "no address": {"url": "http://[", "pid": os.getpid()},
    "no port": {"url": "http://localhost:x/", "pid": os.getpid()},
    "an address with an escape": {"url": f"http://a{HIDING}/", "pid": os.getpid()},
    "a number as address": {"url": 5, "pid": os.getpid()},
    "a huge pid": {"url": "http://localhost:1/", "pid": 10**30},
    "a text as pid": {"url": "http://localhost:1/", "pid": "1"},
}


@pytest.mark.parametrize("what", INFOS)
def test_what_is_no_server_does_not_count(runtime: Path, what: str) -> None:
    """Whatever lies there."""
    (runtime / "jpserver-1.json").write_text(json.dumps(INFOS[what]))
    with pytest.raises(BrokerUnavailable, match="No Jupyter server"):
        running_server.found()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.write_text("[" * 200_000)])
def test_what_is_no_file_of_a_server_does_not_count(runtime: Path, make: Callable[[Path], object]) -> None:
    """A pipe would never end, and neither would its parser."""
    make(runtime / "jpserver-1.json")
    with pytest.raises(BrokerUnavailable, match="No Jupyter server"):
        running_server.found()


@pytest.mark.parametrize(
    "url", ["http://[", "http://a b/", "http://localhost:99999", "ftp://a", "http://a\n/"]
)
def test_a_wrong_address_is_said_to_be_one(url: str) -> None:
    """Not by a traceback."""
    with pytest.raises(InvalidRequest, match="--server"):
        running_server.found(url)


@contextmanager
def answering(*pieces: bytes) -> Iterator[running_server.RunningServer]:
    """A server that answers everything with these bytes."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.wfile.write(b"".join(pieces))

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield running_server.found(f"http://127.0.0.1:{server.server_port}/")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


OK = b"HTTP/1.0 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"{}",
        OK + b"[]",
        OK + b"[" * 200_000,
        OK + b"\xff",
        b"nonsense\r\n\r\n",
        b"HTTP/1.0 500 No\r\n\r\n{",
    ],
    ids=["empty", "a list", "deep", "no text", "no HTTP", "half an error"],
)
def test_what_is_not_our_answer_is_a_typed_error(answer: bytes) -> None:
    """Another version, another program, or one that ended meanwhile."""
    with answering(answer) as server, pytest.raises(BrokerUnavailable):
        _ = server.get("/vault/slots")["slots"]


# What is on record although it was not done.


class Exporting:
    """A server with a connection, that notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, path: str) -> dict[str, Any]:
        return {"connections": [{"connection": {"name": "warehouse", "id": "c1"}}]}

    def sealed_call(self, _: Any, operation: str, request: Any) -> dict[str, Any]:
        self.asked.append(operation)
        return {"file": "text", "connections": [], "left_out": []}


def a_file(path: Path) -> Sequence[str]:
    path.write_text("mine")
    return ()


def a_folder(path: Path) -> Sequence[str]:
    path.mkdir()
    return ("--force",)


@pytest.mark.parametrize(
    ("prepare", "status"),
    [(a_file, 77), (a_folder, 73), (lambda path: ("--output", str(path / "below" / "x")), 73)],
    ids=["a file", "a folder", "no folder"],
)
def test_an_export_without_a_place_for_it_is_not_asked_for(
    tmp_path: Path,
    prepare: Callable[[Path], Sequence[str]],
    status: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The activity log would say that secrets left, and nobody has them; nothing is typed in vain either."""
    server = Exporting()
    monkeypatch.setattr(transfer, "found", lambda _: server)
    monkeypatch.setattr(transfer, "sealed_call", server.sealed_call)
    monkeypatch.setattr("sys.stdin", stdin := io.StringIO("a long passphrase\n"))
    given = [
        "export",
        "--output",
        str(tmp_path / "moved"),
        *prepare(tmp_path / "moved"),
        "--passphrase-stdin",
    ]
    assert main(given) == status
    assert server.asked == []
    assert stdin.tell() == 0
    assert not [*tmp_path.glob(".connvault-*")]


def test_a_new_connection_that_may_be_revealed_is_said_to_be() -> None:
    """The file decides it for one that is added, and not for one that is replaced."""
    entry = {
        "name": "warehouse",
        "provider_id": "p",
        "destination": "db",
        "secrets": [],
        "reveal_allowed": True,
        "would": "new",
        "present": None,
    }
    first, *_ = transfer._planned([entry], [{"name": "warehouse", "action": "add"}])
    assert first.endswith(", may be revealed")
    for changed, action in ((entry, "replace"), ({**entry, "reveal_allowed": False}, "add")):
        first, *_ = transfer._planned([changed], [{"name": "warehouse", "action": action}])
        assert "revealed" not in first


@pytest.mark.parametrize("option", ["only", "skip", "replace", "rename"])
def test_a_name_that_the_file_does_not_have_is_said(option: str) -> None:
    """A mistyped one would import all, or nothing, and say that it went well."""
    entry = {"name": "warehouse", "would": "new", "present": None}
    given: dict[str, list[str]] = {"only": [], "skip": [], "replace": [], "rename": []}
    given[option] = ["warehouze=b" if option == "rename" else "warehouze"]
    with pytest.raises(ConnectionNotFound):
        transfer._decisions(argparse.Namespace(**given), [entry])
