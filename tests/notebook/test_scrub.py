"""A secret typed into the magic: refused, and gone from everything that IPython keeps of the cell."""

from __future__ import annotations

import gc
import linecache
from pathlib import Path

import pytest

from connvault_jupyter.errors import SecretInCode
from connvault_jupyter.notebook.fixit import FIXIT_MIME
from connvault_jupyter.notebook.scrub import INSTEAD
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.browser.shell import Shell
from tests.support.canary import found_in

# Plain characters, so that a search for it finds it in any quoting.
SECRET = "Kanari0Vogel7q9Zxgeheim"


@pytest.fixture
def handles(scripted_broker: ScriptedBroker) -> Handles:
    return Handles(fields={}, secrets={}).install(scripted_broker)


@pytest.fixture(autouse=True)
def no_lines_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """linecache belongs to the process."""
    monkeypatch.setattr(linecache, "cache", {})


def _history_files(shell: Shell) -> bytes:
    folder = shell.history_file.parent
    return b"".join(path.read_bytes() for path in sorted(folder.glob("history.sqlite*")))


def _kept(shell: Shell) -> str:
    """Everything in memory that a later cell, a save or a debugger would find the cell's text in."""
    ip = shell.ip
    manager = ip.history_manager
    names = {
        name: value for name, value in ip.user_ns.items() if name.startswith("_") or name in ("In", "Out")
    }
    return repr(
        [
            names,
            manager.input_hist_raw,
            manager.input_hist_parsed,
            manager.db_input_cache,
            [getattr(manager, name) for name in ("_i00", "_i", "_ii", "_iii")],
            list(linecache.cache.values()),
            ip.last_execution_result.info,
            list(manager.get_range(raw=True)),
            list(manager.get_tail(50, include_latest=True)),
        ]
    )


LINES = [
    "%connections new postgresql password={s}",
    "%connections new postgresql host=db password='{s}'",
    '%connections new postgresql password="{s}',
    "%connections new postgresql password = {s}",
    "%connections new postgresql password: {s}",
    "%connections new postgresql --password {s}",
    "%connections new postgresql --password={s}",
    "%connections new postgresql host=db api_token={s}",
    "%connections new postgresql host=https://user:{s}@db",
    "%connections new postgresql postgresql://user:{s}@db/x",
    "%connections add postgresql password={s}",
    "%connections new nosuchkind secret_key={s}",
    "%connections new password={s}",
    "%connections   new   postgresql   PASSWORD={s}",
    "x = 1\n%connections new postgresql password={s}\ny = 2",
    "%connections new postgresql \\\n  password={s}",
    "get_ipython().run_line_magic('connections', 'new postgresql password={s}')",
]


@pytest.mark.parametrize("line", LINES)
def test_a_secret_is_refused_and_forgotten(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    """However it is written: in memory, in the database file, in the output."""
    shell.run("before = 1")
    result = shell.run(line.format(s=SECRET))
    assert isinstance(result.error_in_exec, SecretInCode)
    shell.run("after = 2")
    shell.ip.history_manager.writeout_cache()
    del result
    gc.collect()
    captured = capsys.readouterr()
    assert found_in(_kept(shell), SECRET) == []
    assert found_in(_history_files(shell), SECRET) == []
    assert found_in(captured.out + captured.err + repr(shell.published.outputs), SECRET) == []


def test_the_positive_control_another_cell_is_found(shell: Shell, handles: Handles) -> None:
    """The same searches find a cell that the magic had nothing to do with."""
    shell.run(f"password = '{SECRET}'")
    shell.ip.history_manager.writeout_cache()
    assert found_in(_kept(shell), SECRET)
    assert found_in(_history_files(shell), SECRET)


def test_the_rest_of_the_history_stays(shell: Shell, handles: Handles) -> None:
    """Only the cell with the secret is replaced."""
    shell.run("before = 1")
    shell.run(f"%connections new postgresql password={SECRET}")
    shell.run("after = 2")
    assert shell.ip.user_ns["In"][-3:] == ["before = 1", INSTEAD, "after = 2"]


def test_earlier_cells_with_the_same_secret_go_too(shell: Shell, handles: Handles) -> None:
    """It was there a moment before, in another form."""
    shell.run(f"password = '{SECRET}'")
    shell.run(f"%connections new postgresql password={SECRET}")
    assert [cell for cell in shell.ip.user_ns["In"] if SECRET in cell] == []


def test_a_very_short_secret_takes_only_its_own_cell(shell: Shell, handles: Handles) -> None:
    """`1` is in every second cell."""
    shell.run("x = 1")
    shell.run("%connections new postgresql password=1")
    assert shell.ip.user_ns["In"][-2:] == ["x = 1", INSTEAD]


@pytest.mark.parametrize("mode", ["Plain", "Context", "Verbose"])
def test_no_mode_shows_the_line(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    """A traceback would print the cell, and Verbose the magic's arguments."""
    shell.ip.run_line_magic("xmode", mode)
    shell.run(f"%connections new postgresql password={SECRET}")
    out = capsys.readouterr().out
    assert found_in(out, SECRET) == []
    assert (
        "SecretInCode: A secret was typed into the cell. Delete it from the cell, change the password" in out
    )


def test_the_button_opens_the_form(
    shell: Shell, scripted_broker: ScriptedBroker, handles: Handles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kind and name are suggested to the broker, and nothing else of the line."""
    monkeypatch.setattr(shell.ip, "kernel", object(), raising=False)
    shell.run(f"%connections new postgresql name=warehouse password={SECRET}")
    (card,) = shell.bundles(FIXIT_MIME)
    assert card["actions"][0]["args"] == {"proposal": handles.proposal}
    asked = scripted_broker.last("connections.propose")
    assert asked == {"provider_id": "postgresql", "name": "warehouse", "fields": {}}


def test_without_a_broker_names_tell(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody there to ask which fields are secret."""
    monkeypatch.delenv("CONNVAULT_SOCKET", raising=False)
    result = shell.run(f"%connections new anything db_password={SECRET}")
    assert isinstance(result.error_in_exec, SecretInCode)
    assert found_in(_kept(shell), SECRET) == []


def test_plain_fields_are_no_secrets(shell: Shell, handles: Handles) -> None:
    """The form is shown, the cell is kept."""
    cell = "%connections new postgresql host=db.internal user=keyuser"
    assert shell.run(cell).success
    assert shell.ip.user_ns["In"][-1] != INSTEAD


def test_a_line_that_can_not_be_read_is_forgotten_too(
    shell: Shell, handles: Handles, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bare word could be anything."""
    shell.run(f"%connections new postgresql {SECRET}")
    assert "UsageError" in capsys.readouterr().err
    assert found_in(_kept(shell), SECRET) == []


def test_a_file_on_disk_keeps_its_lines(shell: Shell, handles: Handles, tmp_path: Path) -> None:
    """linecache also holds modules; only cells are replaced there."""
    file = tmp_path / "module.py"
    file.write_text(f"x = '{SECRET}'\n")
    linecache.getlines(str(file))
    shell.run(f"%connections new postgresql password={SECRET}")
    assert SECRET in linecache.getline(str(file), 1)
    linecache.cache.pop(str(file))
