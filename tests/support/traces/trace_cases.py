"""Each protocol and way of logging in, as the same dialogue with whatever secret: its trace for the requester."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import struct
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import asyncssh
import scramp  # type: ignore[import-untyped]
from scramp import core as scram

from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http import client_connection, pool, token_endpoint
from connvault_jupyter.relays.http import relay as http_relay
from connvault_jupyter.relays.limits import Limits
from connvault_jupyter.relays.mysql import login as mysql_login
from connvault_jupyter.relays.mysql import packets, proofs
from connvault_jupyter.relays.mysql import relay as mysql_relay
from connvault_jupyter.relays.postgresql import login as postgresql_login
from connvault_jupyter.relays.postgresql import relay as postgresql_relay
from connvault_jupyter.relays.postgresql.messages import message, startup
from connvault_jupyter.relays.redis import login as redis_login
from connvault_jupyter.relays.redis import markers
from connvault_jupyter.relays.redis import relay as redis_relay
from connvault_jupyter.relays.redis.resp import encode
from connvault_jupyter.relays.ssh.relay import Relay as SshRelay

from ..fuzz.fuzz_mysql import framed
from ..fuzz.fuzz_ssh import HOST, KEY
from ..relays.scripted_streams import TOKEN, reached, replaced
from ..relays.ssh_agent_client import USER, extension, login_data, session_bind, sign_request
from ..servers.mysql_server import DENIED, OK, greeting
from ..servers.postgres_upstream import AUTH_OK, READY
from ..servers.postgres_upstream import KEY as BACKEND_KEY
from .trace_secrets import ANYTHING, PRINTABLE, TYPED, Dialogue
from .traces import Client, Event, Leak, Say, Service, in_tls, in_turns, traced

LIMITS = Limits(login_s=20, greeting_s=20, warm_logins=0)

Blocks = Sequence[bytes]
Run = Callable[[str, Dialogue, "Leak | None"], list[Event]]


@dataclass(frozen=True)
class Case:
    """`alphabets`: what its secret may have. `slow`: a login costs a tenth of a second."""

    run: Run
    alphabets: tuple[str, ...]
    slow: bool = False


def _postgresql(
    asks: Callable[[str], Sequence[Say]], *, sslmode: str = "disable", outcome: str = "let in"
) -> Run:
    def run(secret: str, dialogue: Dialogue, leak: Leak | None) -> list[Event]:
        fields = {"host": "db.test", "port": 5432, "user": "reader", "database": "shop", "sslmode": sslmode}
        guess = dialogue.guess
        own = ((b"user", b"reader"), (b"database", b"shop"))
        says: list[Say] = [*([b"S"] if sslmode != "disable" else []), *asks(secret)]
        if outcome == "denied":
            # After its challenge, and instead of a proof of its own.
            says[2:] = [message(b"E", b"SFATAL\0C28P01\0Mno\0\0")]
        else:
            says.append(AUTH_OK + message(b"S", b"server_version\x0016.1\0") + BACKEND_KEY + READY)
            says += _rows(dialogue.blocks)
        trace: list[Event] = []
        with ExitStack() as stack:
            service = stack.enter_context(Service(trace, *says))
            client = stack.enter_context(
                Client(
                    trace,
                    startup([*own, (b"application_name", guess)]),
                    *(message(b"Q", b"select " + block + b"\0") for block in dialogue.blocks),
                    message(b"X", b""),
                    service=service,
                    leak=leak,
                )
            )
            fixed = SimpleNamespace(urandom=bytes)
            stack.enter_context(replaced(postgresql_relay, copy_both=in_turns, os=fixed))
            stack.enter_context(replaced(postgresql_login, connect=reached(service), encrypt=in_tls))
            stack.enter_context(replaced(scram, token_hex=lambda: "n0nce"))
            relay = postgresql_relay.Relay(limits=LIMITS)
            login = Login(fields, {"password": secret}, 1, "r1")
            return traced(relay, login, trace=trace, client=client, limits=LIMITS)

    return run


def _rows(blocks: Blocks) -> list[bytes]:
    """Results, and an error that quotes: also cut within a message."""
    whole = [message(b"D", struct.pack(">HI", 1, len(block)) + block) for block in blocks]
    errors = [message(b"E", b"SERROR\0C42601\0M" + block.replace(b"\0", b"") + b"\0\0") for block in blocks]
    return [piece for one in (*whole, *errors) for piece in (one[:7], one[7:])]


def _scram(secret: str) -> list[Say]:
    """RFC 7677 with a fixed salt and nonce. What it proves at the end depends on the password, and is as long."""
    mechanism = scramp.ScramMechanism("SCRAM-SHA-256")
    salt, stored, server, iterations = mechanism.make_auth_info(secret, iteration_count=4096, salt=b"s" * 16)
    other_end = mechanism.make_server(lambda _user: (salt, stored, server, iterations))

    def first(sent: bytes) -> bytes:
        asked = sent[sent.rindex(b"SCRAM-SHA-256\0") + len(b"SCRAM-SHA-256\0") + 4 :]
        other_end.set_client_first(asked.decode())
        return message(b"R", struct.pack(">I", 11) + other_end.get_server_first().encode())

    def final(sent: bytes) -> bytes:
        # A proof in Base64 may end with these two as well.
        other_end.set_client_final(sent[sent.rindex(b"c=", 0, sent.rindex(b",r=")) :].decode())
        return message(b"R", struct.pack(">I", 12) + other_end.get_server_final().encode())

    return [message(b"R", struct.pack(">I", 10) + b"SCRAM-SHA-256\0\0"), first, final]


def _asks(body: bytes) -> Callable[[str], Sequence[Say]]:
    return lambda _secret: [message(b"R", body)]


def _mysql(*says: bytes, plugin: bytes, sslmode: str = "disable") -> Run:
    def run(secret: str, dialogue: Dialogue, leak: Leak | None) -> list[Event]:
        fields = {"host": "db.test", "port": 3306, "user": "reader", "database": "shop", "sslmode": sslmode}
        first = framed(greeting(plugin=plugin, tls=sslmode != "disable"))
        # A TLS request counts.
        begin = 2 + (sslmode != "disable")
        answers = [framed(one, first=begin + 2 * number) for number, one in enumerate(says)]
        results = [framed(b"\x01" + block, first=1) for block in dialogue.blocks]
        proof = proofs.native(dialogue.guess, b"s" * 20)
        wants = packets.Answer(
            ((1 << 32) - 1) & ~int(packets.Can.SSL),
            0,
            1 << 24,
            45,
            dialogue.guess,
            proof,
            b"shop",
            proofs.NATIVE,
            b"",
        )
        trace: list[Event] = []
        with ExitStack() as stack:
            service = stack.enter_context(Service(trace, first, *answers, *_halves(results)))
            client = stack.enter_context(
                Client(
                    trace,
                    framed(packets.answer_packet(wants), first=1),
                    *(framed(b"\x03select " + block) for block in dialogue.blocks),
                    service=service,
                    leak=leak,
                )
            )
            stack.enter_context(replaced(mysql_relay, copy_both=in_turns, _scramble=lambda: b"s" * 20))
            stack.enter_context(replaced(mysql_login, connect=reached(service), encrypt=in_tls))
            relay = mysql_relay.Relay(limits=LIMITS)
            login = Login(fields, {"password": secret}, 1, "r1")
            return traced(relay, login, trace=trace, client=client, limits=LIMITS)

    return run


def _halves(blocks: Blocks) -> list[bytes]:
    return [piece for one in blocks for piece in (one[: len(one) // 2], one[len(one) // 2 :])]


def _redis(*, over_tcp: bool = False, let_in: bool = True) -> Run:
    def run(secret: str, dialogue: Dialogue, leak: Leak | None) -> list[Event]:
        fields = {"host": "cache.test", "port": 6379, "sslmode": "disable"}
        commands, answers = _redis_dialogue(dialogue)
        if over_tcp:
            commands = [encode([b"HELLO", b"3", b"AUTH", b"default", TOKEN.encode()]), *commands]
        greeted = b"+OK\r\n+PONG\r\n" if let_in else b"-WRONGPASS no\r\n-NOAUTH no\r\n"
        trace: list[Event] = []
        numbers = itertools.count()
        with ExitStack() as stack:
            service = stack.enter_context(Service(trace, greeted, *answers))
            client = stack.enter_context(Client(trace, *commands, service=service, leak=leak))
            stack.enter_context(replaced(redis_relay, copy_both=in_turns))
            stack.enter_context(replaced(redis_login, connect=reached(service)))
            fixed = SimpleNamespace(randbits=lambda _bits: next(numbers))
            stack.enter_context(replaced(markers, secrets=fixed))
            relay = redis_relay.Relay(limits=LIMITS)
            login = Login(fields, {"password": secret}, 1, "r1")
            return traced(relay, login, trace=trace, client=client, limits=LIMITS, over_tcp=over_tcp)

    return run


def _redis_dialogue(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """A value of each block, whole and in two reads, in a push and in an error; what the relay answers by itself."""
    guess = dialogue.guess
    commands = [encode([b"AUTH", guess]), encode([b"HELLO", b"3", b"AUTH", b"default", guess])]
    # To the relay's own command in the place of the first one, and to the second without its login.
    answers = [b"-ERR unknown command '%039d'\r\n" % 0, b"%1\r\n$5\r\nproto\r\n:3\r\n"]
    for block in dialogue.blocks:
        bulk = b"$%d\r\n%b\r\n" % (len(block), block)
        push = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n" + bulk
        error = b"-ERR unknown command '%b'\r\n" % block.replace(b"\r", b"").replace(b"\n", b"")
        commands += [
            encode([b"SET", b"k", block]),
            encode([b"GET", b"k"]),
            b"GET k\r\n",
            encode([b"CONFIG", b"GET", b"maxmemory"]),
            encode([b"ACL", b"WHOAMI"]),
            encode([b"SUBSCRIBE", b"c"]),
        ]
        within = len(bulk) - 2
        answers += [b"+OK\r\n", bulk, bulk[:within], bulk[within:], b"*2\r\n" + bulk[:-1], bulk[-1:] + bulk]
        answers += [push[: len(push) - 2], push[-2:], error[:-2], error[-2:]]
    return commands, answers


def _http(fields: dict[str, Any], secret_name: str) -> Callable[..., Run]:
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


def _plain(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """Answers of a known length: in one read, in two, and a head that quotes; kept alive, then one that closes."""
    asked, answers = [], []
    for block in dialogue.blocks:
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(block)
        asked += [_get(dialogue)] * 3
        answers += [whole + block, whole, block[: len(block) // 2], block[len(block) // 2 :]]
        answers += [b"HTTP/1.1 404 %b\r\nX-Said: %b\r\nContent-Length: 0\r\n\r\n" % ((_line(block),) * 2)]
    return [*asked, _get(dialogue)], [*answers, b"HTTP/1.1 200 OK\r\n\r\n", *dialogue.blocks]


def _chunked(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """Chunks, events of a stream among them, each in a read of its own; trailers."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nTransfer-Encoding: chunked\r\n\r\n"
    answers: list[bytes] = []
    for kind in (b"application/json", b"text/event-stream", b"text/plain"):
        events = [b"data: " + _line(block) + b"\n\n" for block in dialogue.blocks]
        said = events if kind == b"text/event-stream" else list(dialogue.blocks)
        answers += [head % kind, *(b"%x\r\n%b\r\n" % (len(one), one) for one in said)]
        answers += [b"0\r\nX-Trailer: " + _line(dialogue.blocks[-1]) + b"\r\n\r\n"]
    return [_get(dialogue)] * 3, answers


def _compressed(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
    """One answer whose every block was flushed, so that it can be read at once."""
    made = zlib.compressobj(wbits=31)
    pieces = [made.compress(block) + made.flush(zlib.Z_SYNC_FLUSH) for block in dialogue.blocks]
    pieces.append(made.flush())
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [_get(dialogue)], [head, *(b"%x\r\n%b\r\n" % (len(one), one) for one in pieces), b"0\r\n\r\n"]


def _websocket(dialogue: Dialogue) -> tuple[list[bytes], list[bytes]]:
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
        *_halves(frames),
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


def _ssh(secret: str, dialogue: Dialogue, leak: Leak | None) -> list[Event]:
    """The secret is the passphrase of the same key: its public half and its signatures are the same."""
    fields = {"host": "build.test", "port": 22, "user": USER, "host_key": HOST.public}
    trace: list[Event] = []
    said = [
        bytes([11]),
        session_bind(HOST),
        sign_request(KEY.blob, login_data(KEY.blob, host_key=HOST.blob)),
        sign_request(KEY.blob, login_data(KEY.blob, user=b"another", host_key=HOST.blob)),
        extension(b"refusal@connvault-jupyter"),
        extension(dialogue.guess),
        *(extension(block) for block in dialogue.blocks),
        *(sign_request(block, block) for block in dialogue.blocks),
    ]
    with ExitStack() as stack:
        nobody = stack.enter_context(Service([]))
        framed_said = [struct.pack(">I", len(one)) + one for one in said]
        client = stack.enter_context(Client(trace, *framed_said, service=nobody, leak=leak))
        login = Login(fields, {"private_key": _locked(secret), "passphrase": secret}, 1, "r1")
        return traced(SshRelay(limits=LIMITS), login, trace=trace, client=client, limits=LIMITS)


@functools.lru_cache(maxsize=64)
def _locked(passphrase: str) -> str:
    key = asyncssh.import_private_key(KEY.private)
    return key.export_private_key("pkcs8-pem", passphrase).decode()


_VERIFIED = "verify-full"
_SWITCH = b"\xfe" + proofs.CLEAR + b"\0" + b"s" * 20 + b"\0"
_TO_ED25519 = b"\xfe" + proofs.ED25519 + b"\0" + b"s" * 32

_BEARER = _http({"auth": "bearer"}, "token")

CASES: dict[str, Case] = {
    "postgresql, scram": Case(_postgresql(_scram), TYPED),
    "postgresql, scram, tls": Case(_postgresql(_scram, sslmode=_VERIFIED), TYPED),
    "postgresql, scram, denied": Case(_postgresql(_scram, outcome="denied"), TYPED),
    "postgresql, md5": Case(_postgresql(_asks(b"\0\0\0\x05salt"), sslmode=_VERIFIED), ANYTHING),
    "postgresql, cleartext": Case(_postgresql(_asks(b"\0\0\0\x03"), sslmode=_VERIFIED), ANYTHING),
    "postgresql, cleartext, refused": Case(_postgresql(_asks(b"\0\0\0\x03")), ANYTHING),
    "mysql, native": Case(_mysql(OK, plugin=proofs.NATIVE), ANYTHING),
    "mysql, sha2, known": Case(_mysql(b"\x01\x03", OK, plugin=proofs.CACHING_SHA2), ANYTHING),
    "mysql, sha2, in full": Case(
        _mysql(b"\x01\x04", OK, plugin=proofs.CACHING_SHA2, sslmode=_VERIFIED), ANYTHING
    ),
    "mysql, sha2, refused": Case(_mysql(b"\x01\x04", OK, plugin=proofs.CACHING_SHA2), ANYTHING),
    "mysql, cleartext": Case(_mysql(_SWITCH, OK, plugin=proofs.NATIVE, sslmode=_VERIFIED), ANYTHING),
    "mysql, ed25519": Case(_mysql(_TO_ED25519, OK, plugin=proofs.NATIVE), ANYTHING),
    "mysql, denied": Case(_mysql(DENIED, plugin=proofs.NATIVE), ANYTHING),
    "redis": Case(_redis(), ANYTHING),
    "redis, by its port": Case(_redis(over_tcp=True), ANYTHING),
    "redis, denied": Case(_redis(let_in=False), ANYTHING),
    "http, bearer": Case(_BEARER(_plain), PRINTABLE),
    "http, bearer, chunked": Case(_BEARER(_chunked), PRINTABLE),
    "http, bearer, compressed": Case(_BEARER(_compressed), PRINTABLE),
    "http, bearer, websocket": Case(_BEARER(_websocket), PRINTABLE),
    "http, basic": Case(_http({"auth": "basic", "username": "ann"}, "password")(_chunked), ANYTHING),
    "http, header": Case(_http({"auth": "header", "header": "X-Key"}, "token")(_websocket), PRINTABLE),
    "http, query": Case(_http({"auth": "query", "query": "key"}, "token")(_chunked), ANYTHING),
    "http, oauth2": Case(
        _http(
            {"auth": "oauth2", "token_url": "http://id.test/token", "allow_http": True, "client_id": "c"},
            "client_secret",
        )(_chunked),
        ANYTHING,
    ),
    "http, sigv4": Case(
        _http(
            {"auth": "sigv4", "access_key_id": "AKIA", "region": "eu", "service": "s3"}, "secret_access_key"
        )(_plain),
        PRINTABLE,
    ),
    "ssh": Case(_ssh, TYPED, slow=True),
}
