"""Forged frames at the requester door of a real broker: refused with a Problem, and the broker is alive."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts import frames
from connvault_jupyter.contracts.operations import BY_DOOR
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.raw_requester import RawRequester, asking

HELLO = frames.encode({"protocol": frames.PROTOCOL, "version": __version__})
LIST = {"op": "connections.list", "body": {}}

FOREIGN_FIELDS: dict[str, Any] = {
    "requester": {"kind": "notebook", "key": "notebook:/a.ipynb"},
    "key": "notebook:/a.ipynb",
    "instance": "kernel:k:1:1:a:b",
    "pid": 1,
    "actor": "a person",
    "decision": "always",
    "mode": "reveal",
    "grant_id": "g",
    "decided_by": "a person",
}


def raw(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def alive(notebooks: Notebooks, pid: int | None) -> bool:
    with asking(notebooks.socket_path) as asker:
        return bool(asker.ask("connections.list", {})["ok"]) and notebooks.operator.broker.pid == pid


@pytest.mark.parametrize("field", FOREIGN_FIELDS)
def test_nobody_can_say_who_they_are(notebooks: Notebooks, field: str) -> None:
    """Who asks is found out; a body that says so is refused before anybody is asked."""
    before = len(notebooks.asked())
    with asking(notebooks.socket_path) as asker:
        body = {"connection": "api", "reason": "always", field: FOREIGN_FIELDS[field]}
        assert asker.ask("access.request", body)["problem"]["code"] == "invalid_request"
    assert len(notebooks.asked()) == before


@pytest.mark.parametrize("name", sorted(BY_DOOR["operator"].keys() - BY_DOOR["requester"].keys()))
def test_the_operators_operations_are_not_there(notebooks: Notebooks, name: str) -> None:
    """Deciding, unlocking, setting secrets: none of it has a name at this door."""
    with asking(notebooks.socket_path) as asker:
        assert asker.ask(name, {})["problem"]["code"] == "unknown_operation"


FIRST_FRAMES: dict[str, bytes] = {
    "a request before the hello": frames.encode(LIST),
    "another version": frames.encode({"protocol": frames.PROTOCOL, "version": "99.0"}),
    "another protocol": frames.encode({"protocol": 99, "version": __version__}),
    "a length of 4 GiB": struct.pack(">I", 2**32 - 1) + b"x" * 100,
    "a list": raw(b"[]"),
}

NEXT_FRAMES: dict[str, bytes] = {
    "a second hello": HELLO,
    "an id": frames.encode({**LIST, "id": 1}),
    "an actor": frames.encode({**LIST, "actor": "a person"}),
    "two requests at once": frames.encode(LIST) * 2,
    "deep": raw(b'{"op":"connections.list","body":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
    "NaN": raw(b'{"op":"access.request","body":{"connection":"api","timeout_s":NaN}}'),
    "invalid UTF-8": raw(b'{"op":"connections.list","body":{"\xff":1}}'),
    "a number of 5,000 digits": raw(b'{"op":"x","body":{"a":' + b"9" * 5000 + b"}}"),
    "over the limit": struct.pack(">I", frames.MAX_FRAME_BYTES + 1),
}


@pytest.mark.parametrize("name", [*FIRST_FRAMES, *NEXT_FRAMES])
def test_a_forged_frame_ends_the_connection_and_nothing_else(notebooks: Notebooks, name: str) -> None:
    """Refused with a code, hung up on, and the broker is the same process."""
    pid = notebooks.operator.broker.pid
    asker = RawRequester(notebooks.socket_path)
    try:
        if name in NEXT_FRAMES:
            assert asker.hello()["ok"] is True
        asker.stream.sendall((FIRST_FRAMES | NEXT_FRAMES)[name])
        code = asker.answer()["problem"]["code"]
        assert code in ("malformed_frame", "request_too_large", "version_mismatch")
        assert asker.hung_up()
    finally:
        asker.close()
    assert alive(notebooks, pid)


def test_half_a_frame_and_a_hang_up_leave_nothing(notebooks: Notebooks) -> None:
    """The half that came is not run."""
    pid = notebooks.operator.broker.pid
    whole = frames.encode({"op": "access.revoke_own", "body": {"connection": "api"}})
    for cut in (1, 4, 5, len(whole) - 1):
        asker = RawRequester(notebooks.socket_path)
        asker.hello()
        asker.stream.sendall(whole[:cut])
        asker.stream.shutdown(socket.SHUT_WR)
        assert asker.answer()["problem"]["code"] == "malformed_frame"
        asker.close()
    assert alive(notebooks, pid)


def test_of_a_name_that_stands_twice_the_last_counts_everywhere(notebooks: Notebooks) -> None:
    """One parser reads the frame, so there are no two opinions of it; it gives nothing that one name would not."""
    with asking(notebooks.socket_path) as asker:
        asker.stream.sendall(raw(b'{"op":"connections.list","op":"vault.lock","body":{}}'))
        assert asker.answer()["problem"]["code"] == "unknown_operation"
        asker.stream.sendall(raw(b'{"op":"vault.lock","op":"connections.list","body":{}}'))
        assert asker.answer()["ok"] is True
    assert notebooks.operator.call("vault.state")["state"] == "unlocked"


def test_an_answer_never_quotes_what_was_sent(notebooks: Notebooks) -> None:
    """A secret that was sent by mistake does not come back, nor into a log."""
    marker = "hunter2-marker"
    with asking(notebooks.socket_path) as asker:
        for operation, body in (
            (marker, {}),
            ("access.request", {"connection": marker + "!"}),
            ("access.request", {"connection": "api", marker: marker}),
            ("access.deliver", {"ref": marker}),
            ("access.request", {"connection": marker}),
        ):
            assert marker not in json.dumps(asker.ask(operation, body))
