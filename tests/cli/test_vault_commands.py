"""`jupyter connvault export | import | slots | rotate` against real servers: what goes over the wire, what is asked."""

from __future__ import annotations

import io
import json
import os
import pty
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from connvault_jupyter.cli.main import main
from connvault_jupyter.cli.prompts import Prompts
from connvault_jupyter.cli.running_server import RunningServer
from connvault_jupyter.errors import InvalidRequest
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import PASSPHRASE, Rest
from tests.support.canary import CANARY, found_in

POSTGRES = {"host": "db.example", "port": 5432, "database": "sales", "user": "report"}
OF_THE_FILE = "the passphrase of the file"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[JupyterServer, JupyterServer]]:
    """Two machines: one with connections, and one without."""
    here, there = (tmp_path_factory.mktemp(name) for name in ("here", "there"))
    file = {"ConnvaultExtension": {"key_file": str(here / "keys")}}
    with serve(here, app="server", config=file) as one, serve(there, app="server") as other:
        for server in (one, other):
            Rest(server).set_up()
        rest = Rest(one)
        rest.create("warehouse", "postgresql", POSTGRES, {"password": CANARY}, reveal_allowed=True)
        rest.create("lake", "postgresql", POSTGRES, {"password": CANARY})
        yield one, other


@pytest.fixture(scope="module")
def here(servers: tuple[JupyterServer, JupyterServer]) -> JupyterServer:
    return servers[0]


@pytest.fixture
def there(servers: tuple[JupyterServer, JupyterServer]) -> Iterator[JupyterServer]:
    yield servers[1]
    Rest(servers[1]).delete_all()


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


def command(server: JupyterServer, *words: str, typed: tuple[str, ...] | None = None) -> Done:
    """In this process; `typed`: the lines of its standard input."""
    out, err = io.StringIO(), io.StringIO()
    lines = "".join(f"{line}\n" for line in typed or ())
    given = ["--passphrase-stdin"] if typed is not None else []
    with (
        mock.patch.dict(os.environ, server.env, clear=True),
        mock.patch("sys.stdin", io.StringIO(lines)),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        status = main([*words, *given])
    return Done(status, out.getvalue(), err.getvalue())


def answered(server: JupyterServer, *words: str, typed: tuple[str, ...] | None = None) -> Any:
    done = command(server, *words, "--json", typed=typed)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def exported(server: JupyterServer, file: Path, *words: str, proof: str = PASSPHRASE) -> Done:
    return command(
        server, "export", "--output", str(file), "--with-secrets", *words, typed=(OF_THE_FILE, proof)
    )


def test_connections_move_to_another_machine(
    here: JupyterServer, there: JupyterServer, tmp_path: Path
) -> None:
    """The file is its owner's alone, and says nothing; what forbids to reveal is named in a second try."""
    file = tmp_path / "moved"
    first = exported(here, file)
    assert first.returncode == 0, first.stderr
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "warehouse: with its secrets" in first.stdout
    assert "lake: WITHOUT its secrets" in first.stdout
    assert "--although-no-reveal lake" in first.stdout
    second = exported(here, file, "--force", "--although-no-reveal", "lake")
    assert "lake: with its secrets" in second.stdout
    assert not found_in(file.read_bytes())
    assert b"db.example" not in file.read_bytes()

    shown = command(there, "import", str(file), "--dry-run", typed=(OF_THE_FILE,))
    assert "db.example" in shown.stdout
    assert shown.stdout.endswith("Nothing was imported.\n")
    assert Rest(there).named("warehouse") is None
    done = answered(there, "import", str(file), "--yes", typed=(OF_THE_FILE,))
    assert {one["name"] for one in done["connections"]} == {"warehouse", "lake"}
    assert Rest(there).named("lake")["connection"]["status"] == "ready"
    assert Rest(there).grants() == []
    again = command(there, "import", str(file), "--yes", typed=(OF_THE_FILE,))
    assert "is here already" in again.stdout
    assert "Nothing was imported." in again.stdout


def test_names_are_decided_by_the_person(here: JupyterServer, there: JupyterServer, tmp_path: Path) -> None:
    """Another host under an old name is said loudly, and replaces only what was named."""
    file = tmp_path / "moved"
    assert exported(here, file).returncode == 0
    Rest(there).create("warehouse", "postgresql", {**POSTGRES, "host": "old.example"}, {"password": "theirs"})
    shown = command(there, "import", str(file), "--dry-run", typed=(OF_THE_FILE,)).stdout
    assert "SOMEWHERE ELSE" in shown
    assert "old.example" in shown
    answered(there, "import", str(file), "--yes", "--only", "warehouse", typed=(OF_THE_FILE,))
    assert Rest(there).named("warehouse")["connection"]["fields"]["host"] == "old.example"
    given = ("import", str(file), "--yes", "--skip", "lake")
    answered(there, *given, "--rename", "warehouse=copy", typed=(OF_THE_FILE,))
    assert Rest(there).named("copy")["connection"]["fields"]["host"] == "db.example"
    answered(there, *given, "--replace", "warehouse", typed=(OF_THE_FILE,))
    assert Rest(there).named("warehouse")["connection"]["fields"]["host"] == "db.example"
    assert Rest(there).named("lake") is None


def test_what_is_typed_goes_sealed(here: JupyterServer, tmp_path: Path) -> None:
    """The server's process forwards what it can't read."""
    sent: list[Any] = []
    post = RunningServer.post

    def noted(self: RunningServer, path: str, body: Any) -> Any:
        sent.append(body)
        return post(self, path, body)

    with mock.patch.object(RunningServer, "post", noted):
        assert exported(here, tmp_path / "moved").returncode == 0
        assert (
            command(here, "import", str(tmp_path / "moved"), "--dry-run", typed=(OF_THE_FILE,)).returncode
            == 0
        )
        assert command(here, "rotate", typed=(PASSPHRASE,)).returncode == 0
    assert [[*body] for body in sent] == [["sealed"]] * 3
    for secret in (OF_THE_FILE, PASSPHRASE, CANARY):
        assert not found_in(json.dumps(sent), secret)


def test_slots_are_listed_added_and_removed(here: JupyterServer) -> None:
    """With the secret of one that stays; a label names one, if it is the only one of that name."""
    spare = "a spare passphrase"
    added = answered(here, "slots", "add", "passphrase", "--label", "spare", typed=(spare, PASSPHRASE))
    assert [slot["label"] for slot in added["slots"]][-1] == "spare"
    said = command(here, "slots", "list").stdout
    assert "passphrase  spare" in said
    removed = answered(here, "slots", "remove", "spare", typed=(PASSPHRASE,))
    assert "spare" not in [slot["label"] for slot in removed["slots"]]
    refused = command(here, "slots", "remove", "spare", typed=(PASSPHRASE,))
    assert (refused.returncode, refused.stdout) == (77, "")


def test_a_key_file_is_read_by_the_command(here: JupyterServer) -> None:
    """As the user who runs it; without the file it is no proof."""
    added = answered(here, "slots", "add", "key-file", typed=(PASSPHRASE,))
    keys = str(here.home / "keys")
    before = Rest(here).audit(type="vault:rotated")
    answered(here, "rotate", "--proof", "key-file", "--key-file", keys, typed=())
    assert len(Rest(here).audit(type="vault:rotated")) == len(before) + 1
    without = command(here, "rotate", "--proof", "key-file", typed=())
    assert "--key-file" in without.stderr
    (slot,) = [slot["id"] for slot in added["slots"] if slot["kind"] == "key_file"]
    answered(here, "slots", "remove", slot, typed=(PASSPHRASE,))
    none = command(here, "rotate", "--proof", "key-file", "--key-file", keys, typed=())
    assert "no key slot of the kind key-file" in none.stderr


WRONG: dict[str, tuple[tuple[str, ...], tuple[str, ...], str]] = {
    "a wrong proof": (("rotate",), ("not the passphrase",), "wrong"),
    "no proof": (("rotate",), (), "passphrase of the vault is missing"),
    "a short passphrase": (("slots", "add", "passphrase"), ("short", PASSPHRASE), "too short"),
    "an unknown name": (("export", "nothing", "--output", "x"), (OF_THE_FILE,), "nothing: No connection"),
    "a file that is none": (("import", "README", "--yes"), (OF_THE_FILE,), "not a file of connections"),
    "a wrong passphrase of a file": (("import", "moved", "--yes"), ("another",), "not the one"),
    "a name that the file has not": (
        ("import", "moved", "--skip", "x"),
        (OF_THE_FILE,),
        "x: The file has no",
    ),
    "nobody to ask": (("import", "moved"), (OF_THE_FILE,), "--yes"),
    "a huge file": (("import", "huge", "--yes"), (OF_THE_FILE,), "larger than any"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_refusal_says_what_to_do(
    here: JupyterServer, there: JupyterServer, tmp_path: Path, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, with a status of its own; nothing has changed."""
    monkeypatch.chdir(tmp_path)
    assert exported(here, Path("moved")).returncode == 0
    Path("README").write_text("hello")
    Path("huge").write_bytes(b"x" * 700_000)
    words, typed, said = WRONG[what]
    done = command(there, *words, typed=typed)
    assert (done.returncode, done.stdout) == (77, "")
    assert said in done.stderr
    assert Rest(there).call("GET", "connections")["connections"] == []
    assert not Path("x").exists()


def on_a_terminal(server: JupyterServer, *words: str, answers: dict[str, str]) -> tuple[Any, str]:
    """The command with a terminal of its own; each question that it asks there is answered. Its answer in JSON, and all
    that was to be seen."""
    master, slave = pty.openpty()
    controlling = (
        "import fcntl, os, sys, termios; fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0); "
        "os.execv(sys.executable, [sys.executable, '-m', 'connvault_jupyter.cli.main', *sys.argv[2:]])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", controlling, str(slave), *words, "--json"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=server.env,
        pass_fds=[slave],
        start_new_session=True,
        text=True,
    )
    os.close(slave)
    shown = ""
    try:
        for question, answer in answers.items():
            while question not in shown:
                shown += os.read(master, 1000).decode()
            os.write(master, answer.encode() + b"\n")
        said, _ = process.communicate(timeout=120)
        with suppress(OSError):  # the other end is closed, and all is read
            while piece := os.read(master, 1000).decode():
                shown += piece
    finally:
        process.kill()
        process.wait()
        os.close(master)
    return json.loads(said), shown


def test_a_person_is_asked_on_the_terminal_without_echo(here: JupyterServer) -> None:
    """Not on the standard input, which may be a file."""
    answer, shown = on_a_terminal(here, "rotate", answers={"Passphrase of the vault: ": PASSPHRASE})
    assert answer["slots"]
    assert PASSPHRASE not in shown


@pytest.mark.parametrize("yes", [True, False])
def test_a_person_sees_what_an_import_does_and_is_asked(
    here: JupyterServer, there: JupyterServer, tmp_path: Path, yes: bool
) -> None:
    """On the terminal, whatever the answer is printed to."""
    file = tmp_path / "moved"
    assert exported(here, file).returncode == 0
    answers = {"Passphrase of the file: ": OF_THE_FILE, "Import this? [y/N] ": "y" if yes else ""}
    answer, shown = on_a_terminal(there, "import", str(file), answers=answers)
    assert "db.example" in shown
    assert OF_THE_FILE not in shown
    assert len(answer["connections"]) == (2 if yes else 0)
    assert (Rest(there).named("warehouse") is not None) == yes


def test_where_there_is_no_terminal_nothing_is_read() -> None:
    """`getpass` would take the standard input, and show what is typed there."""
    with mock.patch("connvault_jupyter.cli.prompts._TERMINAL", Path("/nowhere/tty")):
        prompts = Prompts(from_stdin=False)
        for ask in (lambda: prompts.secret("Passphrase"), lambda: prompts.agrees(["Do it?"])):
            with pytest.raises(InvalidRequest, match="--passphrase-stdin"):
                ask()


def test_a_passphrase_that_is_typed_differently_changes_nothing() -> None:
    """The second time."""
    with (
        mock.patch.object(Prompts, "_check_terminal"),
        mock.patch("getpass.getpass", side_effect=["one passphrase", "another passphrase"]),
        pytest.raises(InvalidRequest, match="differ"),
    ):
        Prompts(from_stdin=False).new_secret("Passphrase")
