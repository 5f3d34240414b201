"""`jupyter connvault activity` against a real server: what it lists, exports, verifies and publishes."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from connvault_jupyter.cli import running_server
from connvault_jupyter.cli.activity import run
from connvault_jupyter.cli.main import main
from connvault_jupyter.cli.private_output import write
from connvault_jupyter.errors import BrokerUnavailable, Conflict, InvalidRequest
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import PASSPHRASE, Rest
from tests.support.canary import CANARY

POSTGRES = {"host": "db.example", "port": 5432, "database": "sales", "user": "report"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """With two connections, and the events that go with them."""
    with serve(tmp_path_factory.mktemp("activity"), app="server") as found:
        rest = Rest(found)
        rest.set_up()
        for name in ("warehouse", "lake"):
            rest.create(name, "postgresql", POSTGRES, {"password": CANARY})
        yield found


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def activity(server: JupyterServer, *words: str, stdin: str | None = None) -> Done:
    """In this process, which is faster; what reads the standard input in one of its own."""
    if stdin is not None:
        done = subprocess.run(
            [sys.executable, "-m", "connvault_jupyter.cli.main", "activity", *words],
            env=server.env,
            capture_output=True,
            text=True,
            check=False,
            input=stdin,
            timeout=60,
        )
        return Done(done.returncode, done.stdout, done.stderr)
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with mock.patch.dict(os.environ, server.env, clear=True), redirect_stdout(out), redirect_stderr(err):
        status = main(["activity", *words])
    texts = []
    for stream in (out, err):
        stream.flush()
        stream.seek(0)
        texts.append(stream.read())
    return Done(status, *texts)


def answered(server: JupyterServer, *words: str, status: int = 0, stdin: str | None = None) -> Any:
    done = activity(server, *words, "--json", stdin=stdin)
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout)


def test_the_newest_events_are_listed(server: JupyterServer) -> None:
    """For people one a line; for programs as the API has them."""
    done = activity(server, "list", "--limit", "3")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3
    assert "connection:created" in done.stdout
    assert "lake" in done.stdout
    lines = activity(
        server, "list", "--limit", "600", "--connection", "warehouse", "--json"
    ).stdout.splitlines()
    assert {json.loads(line)["connection"] for line in lines} == {"warehouse"}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_an_exported_file_is_verified(server: JupyterServer, tmp_path: Path, form: str) -> None:
    """Readable by its owner only, without a secret, and genuine."""
    file = tmp_path / f"log.{form}"
    done = activity(server, "export", "--format", form, "--output", str(file))
    assert done.returncode == 0, done.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert CANARY not in file.read_text()
    assert [one.name for one in tmp_path.iterdir()] == [file.name]
    found = answered(server, "verify", str(file))
    assert (found["good"], found["export"]["proof"], found["export"]["log"]) == (True, "present_keys", "same")
    said = activity(server, "verify", str(file)).stdout
    assert said.startswith("Consistent: ")
    assert "proven by the vault's present keys" in said
    assert answered(server, "verify", "--offline", str(file))["export"]["keys"] == "not_asked"


def test_an_export_on_standard_output_is_the_same_file(server: JupyterServer) -> None:
    """And can be verified from standard input."""
    text = activity(server, "export", "--last", "3").stdout
    assert len(text.splitlines()) == 5
    assert answered(server, "verify", "-", stdin=text)["export"]["events"] == 3


def test_a_part_of_one_connection_and_time(server: JupyterServer) -> None:
    """By its name; a time without an offset is local time."""
    found = answered(
        server,
        "verify",
        "-",
        stdin=activity(server, "export", "--connection", "lake", "--since", "2020-01-01").stdout,
    )
    assert (found["good"], found["export"]["chain"]) == (True, "parts")
    assert found["export"]["left_out"] > 0
    assert activity(server, "export", "--connection", "lakes").returncode == 77
    assert activity(server, "export", "--since", "yesterday").returncode == 77
    empty = activity(server, "export", "--until", "2020-01-01T00:00:00Z").stdout
    assert answered(server, "verify", "-", stdin=empty)["export"]["events"] == 0


def test_a_file_is_not_replaced_unless_told(server: JupyterServer, tmp_path: Path) -> None:
    """What was there stays; with --force it is replaced."""
    file = tmp_path / "log.jsonl"
    file.write_text("kept")
    for verb in ("export", "head"):
        done = activity(server, verb, "--output", str(file))
        assert done.returncode == 77
        assert "--force" in done.stderr
        assert file.read_text() == "kept"
    assert activity(server, "export", "--output", str(file), "--force").returncode == 0
    assert file.read_text().startswith('{"record":"connvault-activity"')
    missing = tmp_path / "no" / "log.jsonl"
    assert activity(server, "export", "--output", str(missing)).returncode == 73


def test_an_edited_file_is_not_consistent(server: JupyterServer, tmp_path: Path) -> None:
    """The status says so, and the line."""
    file = tmp_path / "log.jsonl"
    text = activity(server, "export").stdout
    file.write_text(text.replace('"connection":"warehouse"', '"connection":"storehouse"', 1))
    done = activity(server, "verify", "--offline", str(file))
    assert done.returncode == 1
    assert done.stdout.startswith("NOT CONSISTENT. Line ")
    assert answered(server, "verify", str(file), status=1)["export"]["fault"]["kind"] == "edited"
    file.write_bytes(text.encode()[:300] + b"\xff\xfe" + text.encode()[300:])
    assert answered(server, "verify", str(file), status=1)["good"] is False


def test_rows_made_anew_are_not_proven(server: JupyterServer) -> None:
    """Only whoever asks the vault learns it."""
    lines = [json.loads(line) for line in activity(server, "export").stdout.splitlines()]
    for line in lines:
        line.pop("mac", None)
        line.pop("generation", None)
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    assert answered(server, "verify", "--offline", "-", stdin=text)["good"] is True
    found = answered(server, "verify", "-", stdin=text, status=1)
    assert (found["export"]["proof"], found["export"]["unproven_from"]) == ("none", 1)


def test_a_published_head_is_kept_and_compared(server: JupyterServer, tmp_path: Path) -> None:
    """With the log, and with a file; one that was changed is no statement of the vault."""
    file = tmp_path / "head.json"
    assert activity(server, "head", "--output", str(file)).returncode == 0
    head = json.loads(file.read_text())
    export = activity(server, "export").stdout
    found = answered(server, "verify", "--head", str(file))["kept_head"]
    assert (found["log"], found["statement"]) == ("holds", "right")
    found = answered(server, "verify", "--offline", "--head", str(file), "-", stdin=export)
    assert found["export"]["head"] == "in_the_file"
    file.write_text(json.dumps({**head, "sequence": head["sequence"] + 100}))
    found = answered(server, "verify", "--head", str(file), status=1)["kept_head"]
    assert (found["log"], found["statement"]) == ("cut", "wrong")
    file.write_text(json.dumps({**head, "digest": "0" * 64}))
    assert answered(server, "verify", "--head", str(file), status=1)["kept_head"]["log"] == "replaced"
    file.write_text(json.dumps({**head, "mac": None}))
    assert answered(server, "verify", "--head", str(file), status=1)["kept_head"]["statement"] == "unsigned"
    file.write_text(json.dumps({**head, "vault_id": "another"}))
    assert answered(server, "verify", "--head", str(file), status=1)["kept_head"]["log"] == "other_vault"
    file.write_text("{}")
    assert activity(server, "verify", "--head", str(file)).returncode == 77
    assert activity(server, "verify", "--offline", "--head", str(file)).returncode == 77


def test_while_locked_it_says_that_nothing_is_proven(server: JupyterServer, tmp_path: Path) -> None:
    """And what to do."""
    file, head = tmp_path / "log.jsonl", tmp_path / "head.json"
    assert activity(server, "export", "-o", str(file)).returncode == 0
    assert activity(server, "head", "-o", str(head)).returncode == 0
    rest = Rest(server)
    rest.call("POST", "vault/lock")
    try:
        done = activity(server, "verify", str(file), "--head", str(head))
        assert done.returncode == 1
        assert "Unlock it" in done.stdout
        assert activity(server, "export").returncode == 0
    finally:
        rest.call("POST", "vault/unlock", {"passphrase": PASSPHRASE})


def test_the_log_itself_is_verified(server: JupyterServer) -> None:
    """As in the panel."""
    assert answered(server, "verify")["consistent"] is True
    assert "consistent" in activity(server, "verify").stdout


def test_a_wrong_token_is_told(server: JupyterServer) -> None:
    """The server's answer, in words."""
    done = subprocess.run(
        [sys.executable, "-m", "connvault_jupyter.cli.main", "activity", "head", "--server", server.url],
        env={**server.env, "JUPYTER_RUNTIME_DIR": "/nowhere", "JUPYTER_TOKEN": "wrong"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 77
    assert done.stderr.strip()
    assert server.token not in done.stderr


def test_a_spreadsheet_can_read_the_csv(server: JupyterServer) -> None:
    """Every row has the columns that the first one names."""
    rows = list(csv.reader(activity(server, "export", "--format", "csv").stdout.splitlines()))
    assert {len(row) for row in rows} == {len(rows[0])}
    assert rows[0][:4] == ["record", "sequence", "at", "type"]


# Which server.


def info(folder: Path, number: int, **given: Any) -> None:
    said = {"url": f"http://localhost:{number}/", "pid": os.getpid(), "token": "t", **given}
    (folder / f"jpserver-{number}.json").write_text(json.dumps(said))


@pytest.fixture
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    for name in ("JUPYTER_SERVER_URL", "JUPYTER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_the_only_server_is_taken(runtime: Path) -> None:
    """One that has ended, a damaged file and a server on a Unix socket don't count."""
    with pytest.raises(BrokerUnavailable, match="No Jupyter server"):
        running_server.found()
    info(runtime, 8001)
    info(runtime, 8002, pid=2**22 + 1)
    info(runtime, 8003, url="http+unix://%2Fsocket")
    (runtime / "jpserver-8004.json").write_text("{")
    assert running_server.found()._base.startswith("http://localhost:8001/")


def test_of_several_servers_one_must_be_chosen(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the argument, or by the terminal in which it runs."""
    info(runtime, 8001)
    info(runtime, 8002)
    with pytest.raises(BrokerUnavailable, match="--server"):
        running_server.found()
    assert running_server.found("http://localhost:8002")._base.startswith("http://localhost:8002/")
    monkeypatch.setenv("JUPYTER_SERVER_URL", "http://localhost:8001/")
    assert running_server.found()._base.startswith("http://localhost:8001/")
    with pytest.raises(InvalidRequest):
        running_server.found("file:///etc/passwd")


def test_without_a_server_an_export_is_verified_offline_only(
    runtime: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What needs the vault says so."""
    file = runtime / "log.jsonl"
    file.write_text("nothing")
    assert run(["verify", str(file)]) == 77
    assert "No Jupyter server" in capsys.readouterr().err
    assert run(["verify", "--offline", str(file)]) == 1
    assert "not an exported activity log" in capsys.readouterr().out
    assert run(["verify", "--offline"]) == 77


# The file.


def test_a_file_that_could_not_be_written_whole_is_not_there(tmp_path: Path) -> None:
    """Nor is a part of it; what was there before stays."""

    def pieces() -> Iterator[str]:
        yield "a" * 100_000
        raise BrokerUnavailable

    file = tmp_path / "log.jsonl"
    with pytest.raises(BrokerUnavailable):
        write(file, pieces(), replacing=False)
    assert list(tmp_path.iterdir()) == []
    file.write_text("kept")
    with pytest.raises(BrokerUnavailable):
        write(file, pieces(), replacing=True)
    assert file.read_text() == "kept"
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_somebody_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Between the first look and the end."""
    file = tmp_path / "log.jsonl"

    def pieces() -> Iterator[str]:
        yield "mine"
        file.write_text("theirs")

    with pytest.raises(Conflict):
        write(file, pieces(), replacing=False)
    assert file.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_that_leads_nowhere_is_not_followed(tmp_path: Path) -> None:
    """It is something that exists."""
    link = tmp_path / "log.jsonl"
    link.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict):
        write(link, ["x"], replacing=False)
    assert not (tmp_path / "elsewhere").exists()
