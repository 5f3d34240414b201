"""The requester's end of the channel, against a scripted broker over a real Unix socket."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames
from connvault_jupyter.errors import (
    BrokerUnavailable,
    ConnectionNotFound,
    ConnvaultError,
    HandleInvalid,
    InvalidRequest,
    VersionMismatch,
)
from connvault_jupyter.kernel.broker_client import BrokerClient
from tests.support.broker.processes import ends
from tests.support.broker.scripted_broker import ScriptedBroker, new_ref

CHECK: dict[str, object] = {"mode": "in_clear", "expires_at": None, "revision": 1, "rotation": "r1"}
# "Within 1 s" of DESIGN, with room for a busy machine.


@pytest.fixture
def client(scripted_broker: ScriptedBroker) -> Iterator[BrokerClient]:
    """A client of a script that answers every check."""
    scripted_broker.answers["access.check"] = lambda body: CHECK
    made = BrokerClient(locate=lambda: str(scripted_broker.path))
    yield made
    made.close()


def test_an_answer_comes_back(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """Hello, request, body."""
    assert client.ask("access.check", {"ref": new_ref()}) == CHECK


def test_one_connection_serves_many_requests(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """Who asks is found out once per connection, so it is kept."""
    for _ in range(5):
        client.ask("access.check", {"ref": new_ref()})
    assert scripted_broker.hellos == 1


def test_a_problem_is_raised_as_its_own_type(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """Code, words and details survive the wire."""

    def refuse(body: object) -> dict[str, object]:
        raise HandleInvalid("Gone.", reason="revoked")

    scripted_broker.answers["access.check"] = refuse
    with pytest.raises(HandleInvalid, match=r"Gone\.") as caught:
        client.ask("access.check", {"ref": new_ref()})
    assert caught.value.details["reason"] == "revoked"


def test_field_errors_of_a_refused_request_are_kept(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """They say which field to change."""

    def refuse(body: object) -> dict[str, object]:
        raise InvalidRequest(errors=[{"path": "reason", "message": "is too long"}])

    scripted_broker.answers["access.check"] = refuse
    with pytest.raises(InvalidRequest) as caught:
        client.ask("access.check", {"ref": new_ref()})
    assert caught.value.details["errors"] == [{"path": "reason", "message": "is too long"}]


def test_a_broker_of_another_version_is_refused_with_advice(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """The hello's answer is a Problem."""
    scripted_broker.hello = {
        "ok": False,
        "problem": {"code": "version_mismatch", "title": "VersionMismatch", "status": 400, "detail": ""},
    }
    with pytest.raises(VersionMismatch, match="same version"):
        client.ask("access.check", {"ref": new_ref()})


def test_without_a_broker_the_message_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain `python` in a terminal that no server started."""
    monkeypatch.delenv(frames.SOCKET_VARIABLE, raising=False)
    with pytest.raises(BrokerUnavailable, match="Start JupyterLab"):
        BrokerClient().ask("connections.list", {})


def test_on_windows_the_message_says_wsl(
    client: BrokerClient, scripted_broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No Unix sockets with peer credentials there."""
    monkeypatch.setattr("connvault_jupyter.kernel.broker_client.sys.platform", "win32")
    with pytest.raises(BrokerUnavailable, match="WSL"):
        client.ask("access.check", {"ref": new_ref()})


@pytest.mark.parametrize("there", [False, True])
def test_when_nobody_listens_the_caller_is_told(tmp_path: Path, there: bool) -> None:
    """A path that is gone, and one that a dead broker left."""
    path = Path(f"/tmp/cv-nobody-{os.getpid()}-{there}.sock")
    if there:
        with socket.socket(socket.AF_UNIX) as left_behind:
            left_behind.bind(str(path))
    with ends(), pytest.raises(BrokerUnavailable):
        BrokerClient(locate=lambda: str(path)).ask("connections.list", {})
    path.unlink(missing_ok=True)


def test_a_broker_that_started_again_is_found(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """The idle connection is dead, the new broker listens on the same path: nobody notices."""
    client.ask("access.check", {"ref": new_ref()})
    scripted_broker.die()
    scripted_broker.start()
    assert client.ask("access.check", {"ref": new_ref()}) == CHECK


def test_a_broker_that_is_just_starting_is_waited_for(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """Between death and new start nobody listens for a moment."""
    client.ask("access.check", {"ref": new_ref()})
    scripted_broker.die()
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.ask, "access.check", {"ref": new_ref()})
        scripted_broker.start()
        assert answer.result(timeout=10) == CHECK


def test_a_check_that_is_cut_off_is_tried_once_more(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """It changes nothing that a second one would change again."""
    cut: list[bool] = []

    def die_once(body: object) -> dict[str, object]:
        if not cut:
            cut.append(True)
            scripted_broker.die()
            scripted_broker.start()
        return CHECK

    scripted_broker.answers["access.check"] = die_once
    assert client.ask("access.check", {"ref": new_ref()}) == CHECK
    assert scripted_broker.count("access.check") == 2


def test_a_question_that_is_cut_off_is_not_asked_again(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """A person must not see the same dialog twice; the caller hears within a second."""
    scripted_broker.answers["access.request"] = scripted_broker.wait_for_client_to_leave
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(client.ask, "access.request", {"connection": "warehouse"}, timeout_s=30)
        assert scripted_broker.waiting.wait(10)
        scripted_broker.die()
        with pytest.raises(BrokerUnavailable):
            answer.result(timeout=10)
    assert scripted_broker.count("access.request") == 1


def test_a_broker_that_hangs_is_given_up(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """Bounded by the caller's time."""
    scripted_broker.answers["access.request"] = scripted_broker.wait_for_client_to_leave
    with pytest.raises(BrokerUnavailable, match=r"within 0\.2 s"):
        client.ask("access.request", {"connection": "warehouse"}, timeout_s=0.2)


def test_a_waiting_question_holds_up_no_other_thread(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """Each call has a connection for itself."""
    scripted_broker.answers["access.request"] = scripted_broker.wait_for_client_to_leave
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.ask, "access.request", {"connection": "warehouse"}, timeout_s=30)
        assert scripted_broker.waiting.wait(10)
        assert client.ask("access.check", {"ref": new_ref()}) == CHECK
        client.close()
        with pytest.raises(ConnvaultError):
            asked.result(timeout=10)


def test_many_threads_get_their_own_answers(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """Answers are never mixed up."""
    scripted_broker.answers["access.check"] = lambda body: {**CHECK, "rotation": body["ref"]}
    refs = [new_ref() for _ in range(64)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda ref: client.ask("access.check", {"ref": ref})["rotation"], refs))
    assert answers == refs
    assert scripted_broker.hellos <= 64


@pytest.fixture
def heeds_interrupts() -> Iterator[None]:
    """Whoever started the tests in the background may have them ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_withdraws_the_question(
    client: BrokerClient, scripted_broker: ScriptedBroker, heeds_interrupts: None
) -> None:
    """The kernel's stop button: the broker sees the end of the connection, the cell a KeyboardInterrupt."""
    scripted_broker.answers["access.request"] = scripted_broker.wait_for_client_to_leave
    main = threading.main_thread().ident
    assert main is not None

    def interrupt_when_waiting() -> None:
        assert scripted_broker.waiting.wait(10)
        signal.pthread_kill(main, signal.SIGINT)

    thread = threading.Thread(target=interrupt_when_waiting)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        client.ask("access.request", {"connection": "warehouse"}, timeout_s=30)
    thread.join()
    assert scripted_broker.withdrawn.wait(10)


def test_after_a_fork_the_child_has_its_own_connection(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """The broker finds out per connection who asks; the parent's stays usable."""
    client.ask("access.check", {"ref": new_ref()})
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if client.ask("access.check", {"ref": new_ref()}) == CHECK else 3)
        except BaseException:  # noqa: BLE001 - a child must not go on as a second test run
            os._exit(4)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert scripted_broker.hellos == 2
    assert client.ask("access.check", {"ref": new_ref()}) == CHECK
    assert scripted_broker.hellos == 2


def test_closing_withdraws_although_a_child_has_a_copy(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """A child that lives on must not keep its parent's question open."""
    scripted_broker.answers["access.request"] = scripted_broker.wait_for_client_to_leave
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.ask, "access.request", {"connection": "warehouse"}, timeout_s=30)
        assert scripted_broker.waiting.wait(10)
        client.close()
        with pytest.raises(ConnvaultError):
            asked.result(timeout=10)
    assert scripted_broker.withdrawn.wait(10)


def test_a_too_long_path_is_refused_with_advice() -> None:
    """A Unix socket's path has a limit that the system's message does not explain."""
    with pytest.raises(BrokerUnavailable, match="JUPYTER_RUNTIME_DIR"):
        BrokerClient(locate=lambda: "/tmp/" + "x" * 120).ask("connections.list", {})


@pytest.mark.parametrize(
    "answer", [{}, {"ok": True}, {"ok": True, "body": 3}, {"ok": False, "problem": "no"}]
)
def test_an_answer_of_another_form_is_a_typed_error(
    client: BrokerClient, scripted_broker: ScriptedBroker, answer: dict[str, object]
) -> None:
    """A stranger on the path, or a broken broker."""
    scripted_broker._answer = lambda request: answer  # type: ignore[method-assign]
    with pytest.raises(ConnvaultError):
        client.ask("access.check", {"ref": new_ref()})


def test_the_hello_tells_protocol_and_version(client: BrokerClient, scripted_broker: ScriptedBroker) -> None:
    """The broker refuses another version before it listens to anything else."""
    seen: list[dict[str, object]] = []
    real = frames.receive

    def spy(stream: socket.socket, *, max_bytes: int = frames.MAX_FRAME_BYTES) -> dict[str, object] | None:
        message = real(stream, max_bytes=max_bytes)
        if message is not None and "protocol" in message and "ok" not in message:
            seen.append(message)
        return message

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frames, "receive", spy)
        client.ask("access.check", {"ref": new_ref()})
    assert seen == [{"protocol": frames.PROTOCOL, "version": __version__}]


def test_an_unknown_connection_stays_the_same_error(
    client: BrokerClient, scripted_broker: ScriptedBroker
) -> None:
    """The client adds nothing of its own."""

    def refuse(body: object) -> dict[str, object]:
        raise ConnectionNotFound

    scripted_broker.answers["access.request"] = refuse
    with pytest.raises(ConnectionNotFound):
        client.ask("access.request", {"connection": "x"}, timeout_s=5)


@pytest.mark.parametrize("last", ["", "client.close()", "del client"])
def test_at_the_end_of_the_process_no_connection_is_left_open(
    scripted_broker: ScriptedBroker, last: str
) -> None:
    """Python would warn of it, in the middle of whatever output the program has."""
    scripted_broker.answers["access.check"] = lambda body: CHECK
    code = (
        "from connvault_jupyter.kernel.broker_client import BrokerClient\n"
        f"client = BrokerClient(locate=lambda: {str(scripted_broker.path)!r})\n"
        f"client.ask('access.check', {{'ref': {new_ref()!r}}})\n{last}"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
