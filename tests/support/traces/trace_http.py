"""The dialogues of HTTP whose traces are compared: plain, chunked, compressed, and a WebSocket."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from urllib.parse import quote

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http import client_connection, pool, token_endpoint
from connvault_jupyter.relays.http import relay as http_relay

from ..relays.scripted_streams import reached, replaced
from .trace_secrets import Dialogue, Run, halves
from .traces import LIMITS, Client, Event, Leak, Service, in_turns, traced


def over_http(fields: dict[str, Any], secret_name: str) -> Callable[..., Run]:
    def with_answers(kind: Callable[[Dialogue], tuple[list[bytes], list[bytes]]]) -> Run:
        def run(secret: str, dialogue: Dialogue, leak: Leak | None) -> list[Event]:
            asked, answers = kind(dialogue)
            login = Login({"base_url": "http://api.test/v1", **fields}, {secret_name: secret}, 1, "r1")
            trace: list[Event] = []
            with ExitStack() as stack:
                service = stack.enter_context(Service(trace, *answers))
                tokens = stack.enter_context(Service([], _token_answer(secret)))
                client = stack.enter_context(Client(trace, *asked, service=service, leak=leak))
                stack.enter_context(replaced(pool, connect=reached(service)))
                stack.enter_context(replaced(token_endpoint, connect=reached(tokens)))
                stack.enter_context(replaced(client_connection, copy_both=in_turns))
                relay = http_relay.Relay(limits=LIMITS)
                return traced(relay, login, trace=trace, client=client, limits=LIMITS)

        return run

    return with_answers


def _token_answer(secret: str) -> bytes:
    """An access token that is as secret as what it was made of."""
    token = hashlib.sha256(secret.encode()).hexdigest()
    body = json.dumps({"access_token": token, "token_type": "bearer", "expires_in": 3600}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        len(body),
        body,
    )


def plain(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """Answers of a known length: in one read, in two, and a head that quotes; kept alive, then one that closes."""
    asked, answers = [], []
    for block in dialogue.blocks:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(block)
        asked += [_get(dialogue)] * 3
        answers += [whole + block, whole, block[: len(block) // 2], block[len(block) // 2 :]]
        answers += [b"HTTP/1.1 404 %b\r\nX-Said: %b\r\nContent-Length: 0\r\n\r\n" % ((_line(block),) * 2)]
    return [*asked, _get(dialogue)], [*answers, b"HTTP/1.1 200 OK\r\n\r\n", *dialogue.blocks]


def chunked(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """Chunks, events of a stream among them, each in a read of its own; trailers."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers: list[bytes] = []
    for kind in (b"application/json", b"text/event-stream", b"text/plain"):
        events = [b"data: " + _line(block) + b"\n\n" for block in dialogue.blocks]
        said = events if kind == b"text/event-stream" else list(dialogue.blocks)
        answers += [head % kind, *(b"%x\r\n%b\r\n" % (len(one), one) for one in said)]
        answers += [b"0\r\nX-Trailer: " + _line(dialogue.blocks[-1]) + b"\r\n\r\n"]
    return [_get(dialogue)] * 3, answers


def compressed(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """One answer whose every block was flushed, so that it can be read at once."""
    made = zlib.compressobj(wbits=31)
    pieces = [made.compress(block) + made.flush(zlib.Z_SYNC_FLUSH) for block in dialogue.blocks]
    pieces.append(made.flush())
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [_get(dialogue)], [head, *(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces), b"0\r\n\r\n"]


def websocket(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """RFC 6455 5: messages of a server, whole in a read, and one whose frame comes in two."""
    asked = (
        b"GET /v1/ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    switched = (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI=\r\n\r\n"
    )
    frames = [frame(block) for block in dialogue.blocks]
    return [asked, *(frame(block, masked=True) for block in dialogue.blocks)], [
        switched,
        *frames,
        *halves(frames),
        frame(b"", 8),
    ]


def frame(content: bytes, opcode: int = 1, *, masked: bool = False) -> bytes:
    """One that is a whole message; masked with zeroes."""
    bit = 0x80 if masked else 0
    length = (
        bytes([bit | len(content)])
        if len(content) < 126
        else bytes([bit | 126]) + struct.pack(">H", len(content))
    )
    return bytes([0x80 | opcode]) + length + (bytes(4) if masked else b"") + content


def _get(dialogue: Dialogue) -> bytes:
    guess = _line(dialogue.guess)
    return (
        b"GET /v1/users?key=%b HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n"
        b"Authorization: Bearer %b\r\nX-Guess: %b\r\n\r\n"
    ) % (quote(dialogue.guess).encode(), guess, guess)


def _line(block: bytes) -> bytes:
    """As it can stand in a header."""
    return bytes(byte for byte in block if 0x20 <= byte < 0x7F).strip() or b"x"
