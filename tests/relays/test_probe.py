"""The child of a connection test itself: where secrets may be seen, what it may say, and that it always ends."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.connections import TestOutcome
from connvault_jupyter.contracts.providers import Delivery, ProviderDefinition
from connvault_jupyter.errors import every_error
from connvault_jupyter.providers.registry import ProviderCatalogue
from connvault_jupyter.relays import probe as probe_module
from connvault_jupyter.relays.login_result import LoginResult, parse_result
from connvault_jupyter.relays.probe import ChildProbe
from tests.support.processes import wait_until

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=timezone.utc)
CANARY = "canary-9d2c41"
HTTP = {"base_url": "http://127.0.0.1:1", "auth": "bearer", "allow_http": True}


def provider(client: str = "http") -> ProviderDefinition:
    found = ProviderCatalogue(packages=False).get("http")
    assert found is not None
    deliveries = [Delivery(kind="login", mode="in_clear", client=client, openers=["session"])]
    return found.model_copy(update={"deliveries": deliveries})


@pytest.fixture
def silent() -> Iterator[tuple[dict[str, Any], threading.Event]]:
    """Fields of a server that takes a request and never answers; the event tells that the request is there."""
    arrived = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            with client:
                client.recv(65536)
                arrived.set()
                client.recv(1)

        threading.Thread(target=serve, daemon=True).start()
        yield {**HTTP, "base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}, arrived


def test_while_it_runs_the_secret_is_not_to_be_seen(silent: tuple[dict[str, Any], threading.Event]) -> None:
    """Neither in the arguments nor in the environment of the child; and it ends in time, by itself."""
    fields, arrived = silent
    outcomes: list[TestOutcome] = []
    probe = ChildProbe(clock=lambda: NOW, timeout_s=2)
    thread = threading.Thread(
        target=lambda: outcomes.append(probe(provider(), fields, {"token": CANARY})), daemon=True
    )
    thread.start()
    assert arrived.wait(20)
    (child,) = [one for one in psutil.Process().children() if "probe_child" in " ".join(one.cmdline())]
    assert CANARY not in " ".join(child.cmdline())
    # As root: an ordinary user may not even look.
    assert os.geteuid() != 0 or CANARY not in json.dumps(child.environ())
    if sys.platform == "linux":
        status = Path(f"/proc/{child.pid}").stat()
        # A process that is not dumpable belongs to root in /proc (proc(5)).
        assert status.st_uid == 0
    thread.join(20)
    assert outcomes[0].code == "upstream_timeout"
    wait_until(lambda: not child.is_running(), deadline_s=10, what="the end of the child")


def test_when_it_hangs_in_a_library_it_is_ended(tmp_path: Path) -> None:
    """A server that answers the login and then dawdles: the time is for the whole."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65536)
                # One byte a while: no single read ever times out.
                stop = threading.Event()
                try:
                    while not stop.wait(0.2):
                        client.sendall(b"H")
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        fields = {**HTTP, "base_url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
        outcome = ChildProbe(clock=lambda: NOW, timeout_s=1)(provider(), fields, {"token": CANARY})
    assert outcome.code == "upstream_timeout"
    assert outcome.elapsed_ms < 10_000


def test_when_the_client_is_unknown_it_says_so() -> None:
    """Somebody else's provider may ask for a client that is not here."""
    outcome = ChildProbe(clock=lambda: NOW)(provider("os"), HTTP, {"token": CANARY})
    assert (outcome.ok, outcome.code) == (False, "upstream_error")
    assert "can't be tested" in outcome.detail


def test_when_a_library_is_missing_it_says_which_extra() -> None:
    """psycopg is an extra: without it the message is the command to type."""
    code = (
        "import sys, json; sys.modules['psycopg'] = None\n"
        "from connvault_jupyter.relays.probe_child import tried\n"
        "result = tried({'client': 'postgresql', 'fields': {}, 'secrets': {}, 'timeout_s': 1})\n"
        "print(json.dumps([result.code, result.detail]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code_said, detail = json.loads(done.stdout)
    assert code_said == "upstream_error"
    assert "connvault-jupyter[postgresql]" in detail


def test_when_the_child_crashes_it_is_an_outcome(caplog: pytest.LogCaptureFixture) -> None:
    """Fields that no form lets through: nothing of the traceback gets out, nor into the log."""
    outcome = ChildProbe(clock=lambda: NOW)(provider(), {"no": CANARY}, {"token": CANARY})
    assert (outcome.ok, outcome.code) == (False, "upstream_error")
    assert "server log" in outcome.detail
    assert "no answer" in caplog.text
    assert CANARY not in caplog.text + outcome.model_dump_json()


def test_when_no_process_can_be_started_it_is_an_outcome(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Out of processes, or the interpreter was replaced under a running server."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "missing"))
    assert ChildProbe(clock=lambda: NOW)(provider(), HTTP, {}).code == "upstream_error"


def test_the_current_folder_does_not_decide_what_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file psycopg.py or json.py beside a notebook must not get the password."""
    for name in ("json", "http", "psycopg", "connvault_jupyter", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'caught')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "path", ["", ".", *sys.path])
    assert ChildProbe(clock=lambda: NOW)(provider(), HTTP, {"token": CANARY}).code == "upstream_unreachable"
    assert not (tmp_path / "caught").exists()


def test_the_child_is_light() -> None:
    """It starts at each test: no pydantic, no cryptography, no tornado."""
    code = (
        "import sys; import connvault_jupyter.relays.probe_child, connvault_jupyter.relays.http\n"
        "print(sorted({'pydantic', 'cryptography', 'tornado', 'keyring', 'jsonschema'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"[]",
        b"{}",
        b"null",
        b'{"code": null, "note": "", "server": "", "elapsed_ms": 1, "more": 1}',
        b'{"code": "vault_locked", "note": "", "server": "", "elapsed_ms": 1}',
        b'{"code": ["x"], "note": "", "server": "", "elapsed_ms": 1}',
        b'{"code": null, "note": "anything", "server": "", "elapsed_ms": 1}',
        b'{"code": null, "note": "", "server": "PostgreSQL 16.4 <b>", "elapsed_ms": 1}',
        b'{"code": null, "note": "", "server": "PostgreSQL 16\\n", "elapsed_ms": 1}',
        b'{"code": null, "note": "", "server": "", "elapsed_ms": true}',
        b'{"code": null, "note": "", "server": "", "elapsed_ms": -1}',
        b'{"code": null, "note": "", "server": "", "elapsed_ms": 1e9}',
        b"[" * 100_000,
    ],
)
def test_when_a_child_says_anything_else_it_is_not_heard(text: bytes) -> None:
    """Only a code, a note and a version of the closed lists get through."""
    assert parse_result(text) is None


@given(noise=st.binary(max_size=80))
def test_when_a_child_prints_noise_nothing_breaks(noise: bytes) -> None:
    """Whatever it is: a result, or none."""
    assert parse_result(noise) is None


@pytest.mark.parametrize(
    "result",
    [
        LoginResult(),
        LoginResult(server="PostgreSQL 16.4", elapsed_ms=6),
        LoginResult("upstream_refused", "redirected"),
    ],
)
def test_a_result_goes_round(result: LoginResult) -> None:
    """Child and parent agree on the form."""
    assert parse_result(result.to_json()) == result
    assert result.code is None or result.code in every_error()


def test_the_limit_on_answers_holds_every_result() -> None:
    """The longest honest answer is far below it."""
    longest = LoginResult(
        "upstream_auth_failed", "extra_postgresql", "P" * 20 + " 1234.1234.1234.1234", 3_600_000
    )
    assert len(longest.to_json()) < probe_module._MAX_ANSWER_BYTES
