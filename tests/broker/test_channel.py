"""The requester channel of a real broker: hello, one request at a time, bounded, and alive whatever is sent."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.broker.channel import MAX_PER_PROCESS, RequesterListener
from connvault_jupyter.broker.os_processes import here
from connvault_jupyter.contracts import frames
from connvault_jupyter.contracts.access import Requester
from connvault_jupyter.errors import RequestTooLarge
from connvault_jupyter.kernel.broker_client import BrokerClient
from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.raw_requester import RawRequester, asking

DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Operator, str]]:
    """A real broker with one connection to ask for; nobody answers."""
    with operated_broker(tmp_path_factory.mktemp("channel"), rule=None) as (operator, path):
        fields = {"host": "localhost", "port": 5432, "database": "sales", "user": "report"}
        operator.create("warehouse", IN_CLEAR, fields, {"password": "a-password"})
        yield operator, path


def questions(operator: Operator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = operator.call("access_requests.list")["access_requests"]
    return found


def alive(broker: tuple[Operator, str], pid: int | None) -> bool:
    with asking(broker[1]) as asker:
        return bool(asker.ask("connections.list", {})["ok"]) and broker[0].broker.pid == pid


def resident_kb(pid: int | None) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


WRONG_HELLOS: dict[str, tuple[dict[str, Any], str]] = {
    "another protocol": ({"protocol": 2, "version": "0.1.0"}, "version_mismatch"),
    "another version": ({"protocol": frames.PROTOCOL, "version": "0.0.0"}, "version_mismatch"),
    "no version": ({"protocol": frames.PROTOCOL}, "malformed_frame"),
    "no protocol": ({"version": "0.1.0"}, "malformed_frame"),
    "a text protocol": ({"protocol": "1", "version": "0.1.0"}, "malformed_frame"),
    "a request first": ({"op": "connections.list", "body": {}}, "malformed_frame"),
    "nothing": ({}, "malformed_frame"),
}


@pytest.mark.parametrize("name", WRONG_HELLOS)
def test_a_wrong_hello_is_told_why_and_hung_up_on(broker: tuple[Operator, str], name: str) -> None:
    """Nothing is answered before both ends agree."""
    hello, code = WRONG_HELLOS[name]
    asker = RawRequester(broker[1])
    frames.send(asker.stream, hello)
    assert asker.answer()["problem"]["code"] == code
    assert asker.hung_up()
    asker.close()


def test_the_version_s_problem_names_the_broker_s_version(broker: tuple[Operator, str]) -> None:
    """So that the message can say which one to install."""
    asker = RawRequester(broker[1])
    problem = asker.hello(version="0.0.0")["problem"]
    assert problem["details"]["broker_version"]
    asker.close()


WRONG_REQUESTS: dict[str, dict[str, Any]] = {
    "no op": {"body": {}},
    "no body": {"op": "connections.list"},
    "a number as op": {"op": 1, "body": {}},
    "one more name": {"op": "connections.list", "body": {}, "requester": "notebook"},
    "an actor": {"op": "connections.list", "body": {}, "actor": "a person"},
}


@pytest.mark.parametrize("name", WRONG_REQUESTS)
def test_a_request_of_another_form_ends_the_connection(broker: tuple[Operator, str], name: str) -> None:
    """Nobody can say who they are, or speak for a person."""
    with asking(broker[1]) as asker:
        frames.send(asker.stream, WRONG_REQUESTS[name])
        assert asker.answer()["problem"]["code"] == "malformed_frame"
        assert asker.hung_up()


def test_an_asker_that_goes_away_withdraws_its_question(broker: tuple[Operator, str]) -> None:
    """An interrupted kernel hangs up, and the dialog closes."""
    operator, path = broker
    with asking(path) as asker:
        frames.send(asker.stream, {"op": "access.request", "body": {"connection": "warehouse"}})
        wait_until(lambda: questions(operator), deadline_s=DEADLINE_S, what="the question")
    wait_until(lambda: not questions(operator), deadline_s=DEADLINE_S, what="its end")
    assert operator.call("audit.list")["events"][0]["type"] == "access:withdrawn"


def test_a_second_request_while_one_waits_withdraws_it(broker: tuple[Operator, str]) -> None:
    """Out of turn is the same as gone."""
    operator, path = broker
    with asking(path) as asker:
        frames.send(asker.stream, {"op": "access.request", "body": {"connection": "warehouse"}})
        wait_until(lambda: questions(operator), deadline_s=DEADLINE_S, what="the question")
        frames.send(asker.stream, {"op": "connections.list", "body": {}})
        assert asker.answer()["problem"]["code"] == "consent_withdrawn"
        assert asker.hung_up()
        assert not questions(operator)


def test_an_answer_reaches_every_waiting_connection(broker: tuple[Operator, str]) -> None:
    """A hundred cells that ask the same at once are one question."""
    operator, path = broker
    with contextlib.ExitStack() as stack:
        askers = [stack.enter_context(asking(path)) for _ in range(40)]
        for asker in askers:
            frames.send(asker.stream, {"op": "access.request", "body": {"connection": "warehouse"}})
        found = wait_until(lambda: questions(operator), deadline_s=DEADLINE_S, what="the question")
        assert len(found) == 1
        decision = {"id": found[0]["id"], "decision": "session", "digest": found[0]["digest"]}
        operator.call("access_requests.decide", decision)
        # Who came too late to wait finds the grant.
        assert all(asker.answer()["ok"] for asker in askers)
        assert not questions(operator)


def test_a_process_has_a_bounded_number_of_connections(broker: tuple[Operator, str]) -> None:
    """One process can't take the places of the others; a free place is given again."""
    with contextlib.ExitStack() as stack:
        for _ in range(MAX_PER_PROCESS):
            stack.enter_context(asking(broker[1]))
        extra = RawRequester(broker[1])
        stack.callback(extra.close)
        assert extra.answer()["problem"]["code"] == "broker_unavailable"
        assert extra.hung_up()
    wait_until(lambda: _greets(broker[1]), deadline_s=DEADLINE_S, what="a free place")


def _greets(path: str) -> bool:
    asker = RawRequester(path)
    try:
        return bool(asker.hello()["ok"])
    except (AssertionError, OSError):
        return False
    finally:
        asker.close()


def malformed(generator: random.Random) -> bytes:
    """One wrong thing to send: random bytes, a frame with random content, or a frame that is nearly right."""
    kind = generator.randrange(5)
    content = generator.randbytes(generator.randrange(200))
    if kind == 0:
        return content
    if kind == 1:
        return struct.pack(">I", len(content)) + content
    if kind == 2:
        return struct.pack(">I", generator.randrange(2**32)) + content
    names = ["op", "body", "ref", "", "connection", "protocol", "version", "ok", "problem"]
    values: list[Any] = [
        None,
        {},
        [],
        "access.deliver",
        "access.request",
        1e308,
        -1,
        "x" * 5000,
        {"ref": "r" * 43},
    ]
    message = {generator.choice(names): generator.choice(values) for _ in range(4)}
    good = frames.encode(message)
    if kind == 3:
        return good
    place = generator.randrange(len(good))
    return good[:place] + generator.randbytes(1) + good[place + 1 :]


def throw(broker: tuple[Operator, str], count: int, seed: int) -> None:
    generator = random.Random(seed)  # noqa: S311 -- a repeatable mess, no key
    for _ in range(count):
        asker = RawRequester(broker[1])
        with contextlib.suppress(OSError):
            if generator.random() < 0.7:
                frames.send(asker.stream, {"protocol": frames.PROTOCOL, "version": __version__})
            asker.stream.sendall(malformed(generator))
            asker.stream.shutdown(socket.SHUT_WR)
            while asker.stream.recv(65536):
                pass
        asker.close()


def check_survives(broker: tuple[Operator, str], count: int) -> None:
    pid = broker[0].broker.pid
    throw(broker, min(count, 200), seed=0)
    before = resident_kb(pid)
    throw(broker, count, seed=1)
    assert alive(broker, pid)
    # Allocators keep some; a leak of a frame each would be 5 MB in a thousand already.
    assert resident_kb(pid) - before < 8_000


def test_a_thousand_malformed_frames_leave_the_broker_as_it_was(broker: tuple[Operator, str]) -> None:
    """Alive, the same process, its memory bounded."""
    check_survives(broker, 1000)


@pytest.mark.fuzz
@pytest.mark.timeout(3600)
def test_many_malformed_frames_leave_the_broker_as_it_was(broker: tuple[Operator, str]) -> None:
    """As many as `CONNVAULT_FUZZ_EXAMPLES` says."""
    check_survives(broker, int(os.environ.get("CONNVAULT_FUZZ_EXAMPLES", "100000")))


def test_a_thousand_malformed_messages_at_the_operator_door_leave_the_broker_as_it_was(
    broker: tuple[Operator, str],
) -> None:
    """The owner is trusted, and still can't break it by mistake."""
    operator = broker[0].broker
    pid = operator.pid
    generator = random.Random(2)  # noqa: S311 -- as above
    names = ["connections.create", "vault.unlock", "supervision.kernels", "audit.list", "x", "start"]
    bodies: list[Any] = [None, [], "x", 1, {"id": None}, {"limit": "x"}, {"kernels": [{}]}, {"passphrase": 1}]
    answers = [operator.call(generator.choice(names), generator.choice(bodies)) for _ in range(1000)]
    assert all(answer.exception(DEADLINE_S) is not None for answer in answers)
    assert operator.pid == pid


def test_a_slow_sender_holds_up_nobody(broker: tuple[Operator, str]) -> None:
    """Half a frame waits in its own thread."""
    with asking(broker[1]) as slow:
        slow.stream.sendall(frames.encode({"op": "connections.list", "body": {}})[:7])
        with asking(broker[1]) as other:
            assert other.ask("connections.list", {})["ok"]


def test_threads_of_one_process_ask_side_by_side(broker: tuple[Operator, str]) -> None:
    """Each with a connection of its own."""
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            with asking(broker[1]) as asker:
                for _ in range(20):
                    assert asker.ask("connections.list", {})["ok"]
        except BaseException as exc:  # noqa: BLE001
            failed.append(exc)

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_an_answer_may_be_longer_than_a_request(tmp_path: Path) -> None:
    """A list of thousands of connections is an ordinary answer; there is an end to it all the same."""
    sizes = iter((frames.MAX_FRAME_BYTES, frames.MAX_ANSWER_BYTES))
    path = str(tmp_path / "b")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    served = RequesterListener(
        listener=listener,
        processes=here(),
        identify=lambda peer: Requester(kind="console", key="k", instance="i", label="l", pid=peer.pid),
        call=lambda *_: {"ok": True, "body": {"x": "x" * next(sizes)}},
        version=__version__,
        log=logging.getLogger("test"),
    )
    served.start()
    client = BrokerClient(locate=lambda: path)
    try:
        answer = client.ask("connections.list", {})
        with pytest.raises(RequestTooLarge):
            client.ask("connections.list", {})
    finally:
        client.close()
        served.close()
    assert len(answer["x"]) == frames.MAX_FRAME_BYTES
