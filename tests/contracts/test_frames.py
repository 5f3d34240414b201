"""Frames: what one end writes the other reads, and nothing else is taken for a frame."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.contracts import frames
from connvault_jupyter.errors import BrokerUnavailable, MalformedFrame, RequestTooLarge

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(), JSON, max_size=6)


def frame(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


def send_all(stream: socket.socket, pieces: list[bytes]) -> None:
    # The reader may have refused and closed before all is sent.
    with contextlib.suppress(OSError):
        for piece in pieces:
            stream.sendall(piece)
        stream.shutdown(socket.SHUT_WR)


def sent_and_closed(stream: socket.socket, content: bytes) -> None:
    threading.Thread(target=send_all, args=(stream, [content])).start()


MALFORMED: dict[str, tuple[bytes, type[Exception]]] = {
    "half a length": (b"\0\0", MalformedFrame),
    "half a body": (struct.pack(">I", 10) + b"{}", MalformedFrame),
    "length without body": (struct.pack(">I", 2), MalformedFrame),
    "empty body": (frame(b""), MalformedFrame),
    "no json": (frame(b"hello"), MalformedFrame),
    "a list": (frame(b"[]"), MalformedFrame),
    "a string": (frame(b'"op"'), MalformedFrame),
    "null": (frame(b"null"), MalformedFrame),
    "a number": (frame(b"1"), MalformedFrame),
    "not a number": (frame(b'{"a":NaN}'), MalformedFrame),
    "infinity": (frame(b'{"a":-Infinity}'), MalformedFrame),
    "no utf-8": (frame(b'{"a":"\xff"}'), MalformedFrame),
    "utf-16": (frame('{"a":1}'.encode("utf-16")), MalformedFrame),
    "half an object": (frame(b'{"a":1'), MalformedFrame),
    "two objects": (frame(b"{}{}"), MalformedFrame),
    "too deep": (frame(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), MalformedFrame),
    "too long a number": (frame(b'{"a":' + b"9" * 10_000 + b"}"), MalformedFrame),
    "one byte too long": (struct.pack(">I", frames.MAX_FRAME_BYTES + 1), RequestTooLarge),
    "the longest length": (b"\xff\xff\xff\xff", RequestTooLarge),
    "an http request": (b"GET / HTTP/1.1\r\n\r\n", RequestTooLarge),
}


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that can't hang."""
    left, right = socket.socketpair()
    left.settimeout(10)
    right.settimeout(10)
    with left, right:
        yield left, right


@given(message=OBJECTS)
@settings(max_examples=150, deadline=None)
def test_a_sent_message_arrives_as_it_was(message: dict[str, Any]) -> None:
    """Whatever JSON object is sent, the other end gets an equal one."""
    left, right = socket.socketpair()
    with left, right:
        frames.send(left, message)
        assert frames.receive(right) == message


@given(messages=st.lists(OBJECTS, min_size=1, max_size=5), cut=st.integers(1, 40))
@settings(max_examples=80, deadline=None)
def test_messages_in_any_pieces_arrive_one_by_one(messages: list[dict[str, Any]], cut: int) -> None:
    """The reader does not depend on how the bytes were cut."""
    left, right = socket.socketpair()
    with left, right:
        stream = b"".join(frames.encode(message) for message in messages)
        reader = frames.Reader(right)
        found = []
        # A thread: small pieces fill the socket's buffer long before its bytes do.
        pieces = [stream[start : start + cut] for start in range(0, len(stream), cut)]
        sender = threading.Thread(target=send_all, args=(left, pieces))
        sender.start()
        while (message := reader.receive()) is not None:
            found.append(message)
        sender.join()
        assert found == messages


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_refused_by_receive(
    name: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    """Each has its typed error."""
    sent, error = MALFORMED[name]
    sent_and_closed(ends[0], sent)
    with pytest.raises(error):
        frames.receive(ends[1])


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_frame_is_refused_by_the_reader(
    name: str, ends: tuple[socket.socket, socket.socket]
) -> None:
    """The buffered reader knows the same errors."""
    sent, error = MALFORMED[name]
    sent_and_closed(ends[0], sent)
    with pytest.raises(error):
        frames.Reader(ends[1]).receive()


@given(content=st.binary(max_size=200))
@settings(max_examples=150, deadline=None)
def test_random_bytes_give_a_typed_error_or_a_message(content: bytes) -> None:
    """No input reaches another exception."""
    left, right = socket.socketpair()
    with left, right:
        left.sendall(content)
        left.shutdown(socket.SHUT_WR)
        try:
            found = frames.Reader(right).receive()
        except (MalformedFrame, RequestTooLarge):
            return
        assert found is None or isinstance(found, dict)


def test_the_end_between_two_frames_is_no_error(ends: tuple[socket.socket, socket.socket]) -> None:
    """A peer that hangs up in good order is simply gone."""
    ends[0].close()
    assert frames.receive(ends[1]) is None


def test_a_second_request_before_the_answer_is_malformed(ends: tuple[socket.socket, socket.socket]) -> None:
    """One request at a time."""
    ends[0].sendall(frames.encode({}) + frames.encode({}))
    with pytest.raises(MalformedFrame):
        frames.receive(ends[1])


@given(message=OBJECTS, body=OBJECTS)
@settings(max_examples=100, deadline=None)
def test_a_body_that_is_written_already_arrives_as_it_was(
    message: dict[str, Any], body: dict[str, Any]
) -> None:
    """Like one that the frame writes itself, whatever stands beside it."""
    # As pydantic writes it: characters beyond ASCII unescaped.
    text = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace").decode()
    left, right = socket.socketpair()
    with left, right:
        frames.send(left, {**message, "body": frames.Json(text)})
        assert frames.receive(right) == {**message, "body": json.loads(text)}


def test_a_message_over_the_limit_is_not_sent() -> None:
    """The sender finds out, not the receiver."""
    frames.encode({"a": "x" * (frames.MAX_FRAME_BYTES - 8)})
    with pytest.raises(RequestTooLarge):
        frames.encode({"a": "x" * (frames.MAX_FRAME_BYTES - 7)})


def test_a_frame_that_stops_half_way_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    """The reader's patience counts from the first byte."""
    ends[0].sendall(frames.encode({"a": 1})[:6])
    with pytest.raises(TimeoutError):
        frames.Reader(ends[1], patience_s=0.05).receive()


def test_a_frame_that_comes_byte_by_byte_is_given_up(ends: tuple[socket.socket, socket.socket]) -> None:
    """The patience is the whole frame's: a byte now and then does not prolong it."""
    heard = threading.Event()

    def drip() -> None:
        with contextlib.suppress(OSError):
            for byte in frames.encode({"a": "x" * 1000}):
                ends[0].sendall(bytes([byte]))
                if heard.wait(0.02):
                    return

    sender = threading.Thread(target=drip)
    sender.start()
    with pytest.raises(TimeoutError):
        frames.Reader(ends[1], patience_s=0.2).receive()
    heard.set()
    sender.join()


def test_a_reader_goes_on_after_a_wrong_content(ends: tuple[socket.socket, socket.socket]) -> None:
    """A whole frame without JSON costs that frame only."""
    ends[0].sendall(frame(b"hello") + frames.encode({"a": 1}))
    reader = frames.Reader(ends[1])
    with pytest.raises(MalformedFrame):
        reader.receive()
    assert reader.usable
    assert reader.receive() == {"a": 1}


def test_the_cause_of_a_malformed_frame_is_dropped(ends: tuple[socket.socket, socket.socket]) -> None:
    """A decoder's error holds the whole text that it could not read."""
    ends[0].sendall(frame(b'{"password":"swordfish'))
    with pytest.raises(MalformedFrame) as found:
        frames.receive(ends[1])
    assert found.value.__suppress_context__
    assert "swordfish" not in str(found.value)


@pytest.mark.parametrize(("length", "fits"), [(100, True), (101, False)])
def test_a_socket_path_has_a_hundred_bytes_at_most(length: int, fits: bool) -> None:
    """Every platform takes 100 bytes."""
    path = "/" + "x" * (length - 1)
    if fits:
        assert frames.check_socket_path(path) == path
    else:
        with pytest.raises(BrokerUnavailable):
            frames.check_socket_path(path)
