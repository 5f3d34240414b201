"""Bombarding a person, and getting round the pause after a no."""

from __future__ import annotations

import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from connvault_jupyter.contracts import frames
from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.attacks.conftest import API, by_reason
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import clean_environment, wait_until
from tests.support.broker.raw_requester import asking, lets_in
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.canary import CANARY

PENDING = 5

ASK = """
from connvault_jupyter import connection
try:
    connection("api")
except Exception as error:
    print(error.details["reason"])
"""


@pytest.fixture(scope="module")
def paused() -> Iterator[Notebooks]:
    """A broker with the pauses of the design."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=by_reason) as (operator, path),
    ):
        yield Notebooks(operator, home=Path(name), socket_path=path)


@pytest.fixture
def strict(paused: Notebooks) -> Iterator[Notebooks]:
    """With connections of the test's own: a pause is a requester's and a connection's."""
    made = [
        paused.operator.create("api", IN_CLEAR_API, API, {"token": CANARY}),
        paused.operator.create("token", "secret", {}, {"value": CANARY}),
    ]
    paused.asked().clear()
    yield paused
    for view in made:
        paused.operator.call("connections.delete", {"id": view["connection"]["id"], "revision": 1})


@pytest.fixture(scope="module")
def unanswered() -> Iterator[Notebooks]:
    """A broker whose questions stay open."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=None) as (operator, path),
    ):
        operator.create("api", IN_CLEAR_API, API, {"token": CANARY})
        yield Notebooks(operator, home=Path(name), socket_path=path)


def why(process: RequesterProcess, code: str) -> str:
    with pytest.raises(Refused) as caught:
        process.run(code)
    return caught.value.details.get("reason", caught.value.kind).strip("'")


def test_after_a_no_no_other_name_asks_earlier(strict: Notebooks) -> None:
    """The pause is the notebook's and the connection's: not the claim's, the spelling's or the child process's."""
    with strict.open("a.ipynb") as process:
        assert why(process, "connection('api', reason='deny')") == "denied"
        assert why(process, "connection('api')") == "cooldown"
        assert why(process, "connection('api', agent='another')") == "cooldown"
        assert why(process, "connection('API')") == "ConnectionNotFound"
        process.run("import subprocess, sys")
        asked = process.run(
            f"subprocess.run([sys.executable, '-c', {ASK!r}], capture_output=True, text=True).stdout"
        )
        assert asked.strip() == "cooldown"
    assert len(strict.asked()) == 1


def test_new_processes_do_not_get_round_the_pause(strict: Notebooks) -> None:
    """Each one has another pid and no name; so all of them wait together. Notebooks do not wait for them."""
    with strict.outside() as first:
        assert why(first, "connection('api', reason='deny')") == "denied"
    for _ in range(3):
        with strict.outside() as other:
            assert why(other, "connection('api')") == "cooldown"
    with strict.open("a.ipynb") as notebook:
        notebook.run("connection('api', reason='once')")


def test_a_script_that_rewrites_itself_does_not_get_round_the_pause(
    strict: Notebooks, tmp_path: Path
) -> None:
    """Its name has its content's hash in it, but it waits with the others."""
    environment = clean_environment(tmp_path, {"CONNVAULT_SOCKET": strict.socket_path})
    environment["PYTHONPATH"] = str(Path(__file__).resolve().parents[2])
    found = []
    for number in range(3):
        script = tmp_path / "again.py"
        script.write_text(ASK + f"# {number}\n")
        done = subprocess.run(
            [sys.executable, str(script)], check=False, env=environment, capture_output=True, text=True
        )
        found.append(done.stdout.strip())
    assert found == ["denied", "cooldown", "cooldown"]


def test_revealing_in_a_loop_asks_once(strict: Notebooks) -> None:
    """The louder question has the same pause."""
    with strict.open("a.ipynb") as process:
        process.run("h = connection('token')")
        found = [why(process, "h.reveal('value', reason='deny').__enter__()") for _ in range(20)]
    assert found == ["denied", *["cooldown"] * 19]
    assert len(strict.asked()) == 1


def test_a_flood_of_a_thousand_questions_is_five(unanswered: Notebooks) -> None:
    """However they differ; the others are refused at once, and another notebook still gets its question."""
    with ExitStack() as stack:
        for number in range(PENDING):
            one = stack.enter_context(asking(unanswered.socket_path))
            body = {"connection": "api", "agent": f"agent {number}"}
            frames.send(one.stream, {"op": "access.request", "body": body})
        questions = unanswered.operator.call
        wait_until(
            lambda: len(questions("access_requests.list")["access_requests"]) == PENDING,
            deadline_s=20,
            what="five questions",
        )
        flood = stack.enter_context(asking(unanswered.socket_path))
        for number in range(1000):
            body = {"connection": "api", "agent": f"more {number}", "reason": os.urandom(50).hex()}
            assert flood.ask("access.request", body)["problem"]["code"] == "too_many_questions"
        assert len(questions("access_requests.list")["access_requests"]) == PENDING
        assert len(unanswered.record(type="access:refused")) == 1
        with unanswered.open("a.ipynb") as notebook:
            notebook.begin("connection('api')")
            wait_until(
                lambda: len(questions("access_requests.list")["access_requests"]) == PENDING + 1,
                deadline_s=20,
                what="the notebook's own question",
            )
            own = questions("access_requests.list")["access_requests"][-1]
            assert own["requester"]["label"] == "a.ipynb"
            questions(
                "access_requests.decide", {"id": own["id"], "decision": "deny", "digest": own["digest"]}
            )
            with pytest.raises(Refused, match="AccessDenied"):
                notebook.finish()


def test_asking_and_hanging_up_in_a_loop_is_stopped(unanswered: Notebooks) -> None:
    """A dialog that flickers is a bombardment."""

    def questions() -> list[object]:
        found: list[object] = unanswered.operator.call("access_requests.list")["access_requests"]
        return found

    def answered(stream: socket.socket) -> bool:
        return bool(select.select([stream], [], [], 0)[0])

    unanswered.operator.create("flicker", IN_CLEAR_API, API, {"token": CANARY})
    shown = 0
    for _ in range(12):
        with asking(unanswered.socket_path) as process:
            stream = process.stream
            frames.send(stream, {"op": "access.request", "body": {"connection": "flicker"}})
            while not questions() and not answered(stream):
                pass
            shown += bool(questions())
        wait_until(lambda: not questions(), deadline_s=20, what="the end of the question")
    assert shown <= 6


def test_a_guess_of_the_secret_is_not_confirmed(strict: Notebooks) -> None:
    """The secret in a claim is masked for people; whoever made the guess is told nothing, and reads nothing in the
    database: neither the text nor the stars, and a right guess takes the room of a wrong one."""
    wrong = CANARY[:-1] + "?"
    sizes = []
    for number, guess in enumerate((CANARY, wrong)):
        with strict.open(f"guess-{number}.ipynb") as process:
            assert why(process, f"connection('api', reason={guess!r}, agent={guess[:60]!r})") == "denied"
            process.run("from connvault_jupyter.kernel.api import broker")
            rows = process.run("broker().ask('audit.list_own', {})")["events"]
        assert rows
        claims = ("reason_claim", "agent", "reason_sealed", "agent_sealed", "claims_hidden")
        assert {row[name] for row in rows for name in claims} == {None}
        shown = strict.record(type="access:asked")[0]
        assert shown["reason_claim"] == ("[secret]" if guess == CANARY else wrong)
        with closing(
            sqlite3.connect(Path(strict.socket_path).parents[1] / "vault" / "connvault.db")
        ) as opened:
            found = opened.execute(
                "SELECT json_extract(body, '$.agent_sealed'), json_extract(body, '$.reason_sealed') FROM audit"
                " WHERE requester_key LIKE ?",
                (f"%guess-{number}.ipynb",),
            ).fetchall()
            stored = b"".join(
                bytes(body) for (body,) in opened.execute("SELECT CAST(body AS BLOB) FROM audit")
            )
        assert b"[secret]" not in stored
        assert wrong.encode()[:20] not in stored
        sizes.append([(len(agent), len(reason)) for agent, reason in found])
    assert sizes[0] == sizes[1]


def test_open_questions_confirm_no_guess(unanswered: Notebooks) -> None:
    """Five are open, one of them for an agent that calls itself what a masked secret reads like. Without a wait and
    without a permission each guess would be a sixth, or be joined to that one."""
    unanswered.operator.create("oracle", IN_CLEAR_API, API, {"token": CANARY[:60]})
    with ExitStack() as stack:
        for number in range(PENDING):
            one = stack.enter_context(asking(unanswered.socket_path))
            agent = f"agent {number}" if number else "[secret]"
            frames.send(
                one.stream, {"op": "access.request", "body": {"connection": "oracle", "agent": agent}}
            )
        wait_until(
            lambda: len(unanswered.operator.call("access_requests.list")["access_requests"]) == PENDING,
            deadline_s=20,
            what="five questions",
        )
        guessing = stack.enter_context(asking(unanswered.socket_path))
        answers = [
            guessing.ask("access.request", {"connection": "oracle", "agent": guess})
            for guess in (CANARY[:60], CANARY[:59], "battery staple", f" {CANARY[:59]}")
        ]
    assert [answer["problem"]["code"] for answer in answers] == ["too_many_questions"] * len(answers)


def test_a_loop_with_nobody_there_is_limited_and_summed_up() -> None:
    """With no tab open nobody sees anything: it may ask as rarely, from new processes too, and makes few rows."""
    # Without a grace for a page that is being loaded, so that a loop is as quick as it can be.
    consent = ConsentSettings(approver_grace_s=0)
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as name,
        operated_broker(Path(name), rule=None, consent=consent) as (operator, path),
    ):
        found = Notebooks(operator, home=Path(name), socket_path=path)
        operator.create("api", IN_CLEAR_API, API, {"token": CANARY})
        operator.call("supervision.approvers", {"count": 0})
        codes = []
        for process in range(3):
            with asking(path) as requester:
                for number in range(20):
                    body = {"connection": "api", "agent": f"agent {process} {number}", "reason": f"{number}"}
                    codes.append(requester.ask("access.request", body)["problem"]["code"])
        assert codes == ["no_approver"] * 6 + ["access_denied"] * 54
        rows = [row["type"] for row in found.record() if row["type"].startswith("access:")]
        assert {kind: rows.count(kind) for kind in set(rows)} == {
            "access:asked": 6,
            "access:expired": 6,
            "access:refused": 1,
        }


def test_a_no_for_ever_is_not_undone_by_the_notebook(strict: Notebooks) -> None:
    """Giving back, releasing, asking with another claim, to reveal: it stays, and nobody is asked again."""
    with strict.open("a.ipynb") as process:
        assert why(process, "connection('api', reason='deny_always')") == "never"
        process.run("from connvault_jupyter.kernel.api import broker")
        assert process.run("broker().ask('access.revoke_own', {'connection': 'api'})") == {"released": 0}
        assert why(process, "connection('api', reason='always', agent='x')") == "never"
    with strict.open("a.ipynb") as restarted:
        assert why(restarted, "connection('api', reason='always')") == "never"
    assert len(strict.asked()) == 1


def test_a_broker_that_is_killed_for_its_memory_of_a_no_comes_back_locked(unanswered: Notebooks) -> None:
    """The pause is gone with it, but nobody is asked before the person has typed the passphrase. (With the system's
    keyring the next broker opens by itself: there killing it is a way to ask again, at most every few seconds.)"""
    broker = unanswered.operator.broker
    killed = broker.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    # The client gives up within a second where nobody listens: on a busy machine the next broker takes longer.
    wait_until(
        lambda: broker.pid not in (None, killed) and lets_in(unanswered.socket_path),
        deadline_s=60,
        what="the next broker",
    )
    with unanswered.outside() as process:
        assert why(process, "connection('api')") == "VaultLocked"
    assert unanswered.operator.call("access_requests.list")["access_requests"] == []
