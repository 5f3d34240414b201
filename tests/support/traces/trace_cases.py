"""Each protocol and way of logging in, as the same dialogue with whatever secret: its trace for the requester."""

from __future__ import annotations

import functools
import itertools
import struct
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import SimpleNamespace

import asyncssh
import scramp  # type: ignore[import-untyped]
from scramp import core as scram

from connvault_jupyter.relays.downstream import Login
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
from .trace_http import chunked, compressed, over_http, plain, websocket
from .trace_secrets import ANYTHING, PRINTABLE, TYPED, Blocks, Dialogue, Run, halves
from .traces import LIMITS, Client, Event, Leak, Say, Service, in_tls, in_turns, traced


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
            service = stack.enter_context(Service(trace, first, *answers, *halves(results)))
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

_BEARER = over_http({"auth": "bearer"}, "token")

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
    "http, bearer": Case(_BEARER(plain), PRINTABLE),
    "http, bearer, chunked": Case(_BEARER(chunked), PRINTABLE),
    "http, bearer, compressed": Case(_BEARER(compressed), PRINTABLE),
    "http, bearer, websocket": Case(_BEARER(websocket), PRINTABLE),
    "http, basic": Case(over_http({"auth": "basic", "username": "ann"}, "password")(chunked), ANYTHING),
    "http, header": Case(over_http({"auth": "header", "header": "X-Key"}, "token")(websocket), PRINTABLE),
    "http, query": Case(over_http({"auth": "query", "query": "key"}, "token")(chunked), ANYTHING),
    "http, oauth2": Case(
        over_http(
            {"auth": "oauth2", "token_url": "http://id.test/token", "allow_http": True, "client_id": "c"},
            "client_secret",
        )(chunked),
        ANYTHING,
    ),
    "http, sigv4": Case(
        over_http(
            {"auth": "sigv4", "access_key_id": "AKIA", "region": "eu", "service": "s3"}, "secret_access_key"
        )(plain),
        PRINTABLE,
    ),
    "ssh": Case(_ssh, TYPED, slow=True),
}
