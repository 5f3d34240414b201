"""The relay for MySQL and MariaDB: a client gets a session of the connection's user, and never a password.

It greets with the server's own version and thread (so that KILL hits the right one), takes capabilities, character set
and database from the client's answer, and logs in with these and the connection's user. Both sides then speak the same
dialect, and bytes are copied.

- On the Unix socket any user and password is accepted, as the broker has identified the client. On TCP the password
  must be the handle's token, by mysql_native_password.
- The client's database is used, or the connection's: `USE` leads to any other one anyway.
- LOAD DATA LOCAL is only negotiated if the connection allows it, as it lets a server ask for any of the client's
  files. Compression is never negotiated, nor TLS with the client.
- COM_CHANGE_USER is copied like everything else: whoever knows another account's password does not need connvault for
  it, and it reveals nothing about this one's.
- For a hand-over the number comes from the greeting's scramble (`relay_wire.mysql_session`).
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
from dataclasses import replace

from ...contracts.relay_wire import mysql_session, refusal_text
from ...errors import ConnvaultError, HandleInvalid, InvalidRequest, UpstreamAuthFailed, UpstreamRefused
from ..copying import copy_both
from ..downstream import Downstream, Login, no_token
from ..limits import Limits
from . import login as mysql_login
from .packets import (
    SCRAMBLE_BYTES,
    Answer,
    Can,
    Greeting,
    Malformed,
    Packets,
    error_packet,
    greeting_packet,
    parse_answer,
    switch_packet,
)
from .proofs import NATIVE, is_native

# Capabilities that only affect the two sides' messages.
_OFFERED = (
    Can.MYSQL | Can.FOUND_ROWS | Can.LONG_FLAG | Can.CONNECT_WITH_DB | Can.NO_SCHEMA | Can.ODBC | Can.IGNORE_SPACE
    | Can.PROTOCOL_41 | Can.INTERACTIVE | Can.IGNORE_SIGPIPE | Can.TRANSACTIONS | Can.SECURE_CONNECTION
    | Can.MULTI_STATEMENTS | Can.MULTI_RESULTS | Can.PS_MULTI_RESULTS | Can.CONNECT_ATTRIBUTES | Can.SESSION_TRACK
    | Can.DEPRECATE_EOF | Can.OPTIONAL_METADATA | Can.QUERY_ATTRIBUTES
)  # fmt: skip
# For the login on this side only.
_OURS = Can.PROTOCOL_41 | Can.SECURE_CONNECTION | Can.PLUGIN_AUTH | Can.PLUGIN_AUTH_LENENC
# MariaDB's: progress reports, COM_MULTI, bulk operations, extended and cached metadata, bulk unit results.
_EXTENDED = 0b111111

# ER_ACCESS_DENIED_ERROR and ER_UNKNOWN_ERROR: drivers show the text of both.
_DENIED = (1045, "28000")
_FAILED = (1105, "08S01")

# Capabilities of a connection test.
_TRIAL = Answer(
    int(Can.MYSQL | _OURS | Can.TRANSACTIONS), 0, 1 << 24, 45, b"", b"", None, b"", b""
)  # 45: utf8mb4_general_ci
_COM_QUIT, _COM_QUERY = b"\x01", b"\x03"


class Relay:
    """See relays.downstream.Relay."""

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits

    def serve(self, downstream: Downstream) -> None:
        limits = self._limits
        deadline = time.monotonic() + limits.login_s
        client = Packets(downstream.stream, deadline=min(deadline, time.monotonic() + limits.greeting_s))
        try:
            login = downstream.login()
            with mysql_login.reach(login.fields, limits=limits, deadline=deadline) as reached:
                downstream.adopt(reached.packets.stream)
                scramble = _scramble()
                wanted = _greeted(
                    client, reached.greeting, scramble, downstream, local_files=_local_files(login)
                )
                ok = mysql_login.log_in(reached, login, wanted)
                # From here on the password is no longer held.
                del login
                client.deadline = time.monotonic() + limits.greeting_s
                self._pass_on(downstream, client, reached, ok, scramble)
        except ConnvaultError as refused:
            client.deadline = time.monotonic() + limits.greeting_s
            client.send(_told(refused))
            raise

    def log_in(self, login: Login) -> str:
        deadline = time.monotonic() + self._limits.login_s
        with mysql_login.reach(login.fields, limits=self._limits, deadline=deadline) as reached:
            mysql_login.log_in(reached, login, _TRIAL)
            packets = reached.packets
            try:
                # A pooler accepts a login by itself; only a query reaches the server behind it.
                packets.restart()
                packets.send(_COM_QUERY + b"SELECT 1")
                if packets.receive()[:1] == b"\xff":
                    raise UpstreamRefused
                packets.restart()
                packets.send(_COM_QUIT)
            except (OSError, Malformed):
                raise UpstreamRefused from None
            return _name(reached.greeting.version)

    def forget(self) -> None:
        """Nothing is kept between clients."""

    def close(self) -> None:
        """Nothing is kept between clients."""

    def _pass_on(
        self,
        downstream: Downstream,
        client: Packets,
        reached: mysql_login.Reached,
        ok: bytes,
        scramble: bytes,
    ) -> None:
        upstream = reached.packets.stream
        hand_over = None
        if not downstream.over_tcp and not isinstance(upstream, ssl.SSLSocket):
            hand_over = downstream.offer(mysql_session(scramble), upstream)
        client.send(ok)
        stop = None if hand_over is None else hand_over.stop
        outcome = copy_both(downstream.stream, upstream, limits=self._limits, stop=stop)
        if hand_over is not None and outcome == "stopped":
            hand_over.wait(self._limits.lifetime_s)


def _local_files(login: Login) -> bool:
    return login.fields.get("local_infile") is True


def _greeted(
    client: Packets, server: Greeting, scramble: bytes, downstream: Downstream, *, local_files: bool
) -> Answer:
    """The client's answer to our greeting, after it has been authenticated.

    Raises: InvalidRequest: the answer can't be parsed; HandleInvalid: not the token. OSError, TimeoutError.
    """
    agreed = _OFFERED | Can.LOCAL_FILES if local_files else _OFFERED
    offered = int((server.capabilities & agreed) | _OURS)
    extended = 0 if offered & Can.MYSQL else server.extended & _EXTENDED
    ours = replace(server, scramble=scramble, capabilities=offered, extended=extended, plugin=NATIVE)
    client.send(greeting_packet(ours))
    try:
        answer = parse_answer(client.receive(), offered)
        proof = answer.proof
        if answer.capabilities & Can.PLUGIN_AUTH and answer.plugin != NATIVE:
            client.send(switch_packet(NATIVE, scramble))
            proof = client.receive()
    except Malformed:
        raise InvalidRequest(
            "The client's answer to the greeting can't be read. The client must support the login of MySQL "
            "4.1. The relay does not offer TLS: the traffic to it never leaves this machine."
        ) from None
    if downstream.over_tcp and not is_native(proof, downstream.handle.token.encode(), scramble):
        raise no_token()
    return replace(answer, extended=answer.extended & _EXTENDED)


def _scramble() -> bytes:
    """20 random bytes, without NUL or a character that a client could mistake for one."""
    return bytes(33 + secrets.randbelow(94) for _ in range(SCRAMBLE_BYTES))


def _told(refused: ConnvaultError) -> bytes:
    """The error for a client: our code and message in the server's own format."""
    denied = isinstance(refused, UpstreamAuthFailed | HandleInvalid)
    number, state = _DENIED if denied else _FAILED
    return error_packet(number, state, refusal_text(refused.code, refused.message))


def _name(version: bytes) -> str:
    """`MariaDB 10.11.19`, `MySQL 8.0.36`. MariaDB up to 10.11 puts `5.5.5-` before its own number."""
    text = version.decode("ascii", "replace").removeprefix("5.5.5-")
    number = re.match(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}", text)
    kind = "MariaDB" if "mariadb" in text.lower() else "MySQL"
    return f"{kind} {number[0]}" if number else ""
