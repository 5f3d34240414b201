"""Redis: logs in upstream, then forwards commands one way and answers the other, in both versions of the protocol.

A client's own login is answered here: on the Unix socket any password is accepted, on TCP only the handle's token. To
keep the order of answers, a marker (`markers`) is sent upstream instead of such a command, and the server's answer to
it (`unknown command`, which also aborts a transaction, as a refusal must) is replaced. Nothing is counted, so pushes,
subscriptions and `CLIENT REPLY OFF` need no special care. A command whose answer could contain the password
(`revealing_commands`) is put between two markers, and everything between their answers is masked, or rewritten without
its secrets (`rules`, `blanking`); everything else is data, and passes unchanged. A marker would abort a transaction, so
there EXEC's answer is masked, and what comes just before it.

There is no hand-over: `CONFIG GET requirepass` and other users' ACL entries could no longer be refused or masked.
Unlike elsewhere, the password is kept as long as the connection, to mask it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import socket
import ssl
import time
from collections.abc import Iterable, Sequence

from ...contracts.relay_wire import refusal_text
from ...errors import ConnvaultError, NotAllowed, UpstreamAuthFailed
from ...services.secrets.guessability import maskable
from ..copying import copy_both
from ..downstream import Downstream, Login, no_token
from ..limits import Limits, left_s
from ..masking.masker import Masker
from ..upstream import shut
from .answers import Answers
from .blanking import blanked
from .login import DEFAULT_USER, log_in, server_of
from .resp import Commands, ProtocolError, encode
from .revealing_commands import MAX_NAME_BYTES, could_tell
from .rules import WATCHED, Rule, as_server_reads, ruled

_OK = b"+OK\r\n"
_ATTEMPTS = 8

# Commands that are answered or inspected here.
_OWN = frozenset({b"AUTH", b"HELLO", b"MULTI", b"EXEC", b"DISCARD", b"CLIENT"})

# A server disconnects a client that has closed its half as soon as it has read everything before
# (`readQueryFromClient`), and over TLS it can't see the half-close: what BLPOP returns until then is lost.
_HALF_CLOSE_S = 2.0
_HALF_CLOSE_TLS_S = 0.25

_DRAIN_S = 1.0


class Relay:
    """Keeps nothing between clients."""

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits

    def log_in(self, login: Login) -> str:
        """See `relays.downstream.Relay`."""
        stream = log_in(login, self._limits)
        try:
            return server_of(stream, self._limits)
        finally:
            shut(stream)

    def serve(self, downstream: Downstream) -> None:
        """See `relays.downstream.Relay`."""
        watched = None if downstream.over_tcp else WATCHED | _OWN
        commands = Commands(watched, wanted=could_tell, longest_wanted=MAX_NAME_BYTES)
        pieces: list[bytes | list[bytes]] = []
        upstream = None
        try:
            try:
                if downstream.over_tcp:
                    pieces = _admitted(downstream, commands)
                    commands.watch(WATCHED | _OWN)
                login = downstream.login()
                upstream = log_in(login, self._limits, downstream.adopt)
            except ConnvaultError as exc:
                _refuse(downstream, exc)
                return
            session = Session(downstream, commands, login)
            del login
            limits = dataclasses.replace(
                self._limits,
                half_close_s=_HALF_CLOSE_TLS_S if isinstance(upstream, ssl.SSLSocket) else _HALF_CLOSE_S,
            )
            if pieces:
                upstream.sendall(session.passed(pieces))
            copy_both(
                downstream.stream,
                upstream,
                limits=limits,
                to_upstream=session.to_upstream,
                held=session.answers,
            )
        finally:
            shut(upstream)

    def forget(self) -> None:
        """See `relays.downstream.Relay`."""

    def close(self) -> None:
        """See `relays.downstream.Relay`."""


class Session:
    """One logged-in connection."""

    def __init__(self, downstream: Downstream, commands: Commands, login: Login) -> None:
        self._downstream = downstream
        self._commands = commands
        self._user = str(login.fields.get("user") or DEFAULT_USER).encode()
        self.answers = Answers(Masker(_told_by_a_server(login.secrets.values()), sighted=self._sighted))
        self._over = False
        self._in_transaction = False
        self._transaction_tells = False
        self._answered = True

    def to_upstream(self, data: bytes) -> bytes:
        """A filter for `copy_both`."""
        if self._over or not data:
            # An incomplete command at the end, which the server would not run either.
            return b""
        try:
            pieces = self._commands.feed(data)
        except ProtocolError as exc:
            # Like a server: an error, then the end. Earlier commands are answered first.
            self._over = True
            before = self.passed(exc.before)
            marker = self.answers.given(f"-ERR Protocol error: connvault: {exc}\r\n".encode())
            return before + marker + encode([b"QUIT"])
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            return pieces[0]
        return self.passed(pieces)

    def passed(self, pieces: Sequence[bytes | list[bytes]]) -> bytes:
        """What to send upstream for them."""
        return b"".join(one if isinstance(one, bytes) else self._command(one) for one in pieces)

    def _command(self, arguments: list[bytes]) -> bytes:
        name = arguments[0].upper()
        if name == b"AUTH":
            known = len(arguments) in (2, 3) and self._is_good(arguments[-1])
            return self.answers.given(_OK if known else _wrong_token())
        if name == b"HELLO":
            stripped, given = without_login(arguments)
            if given is not None and not self._is_good(given):
                return self.answers.given(_wrong_token())
            return encode(stripped)
        command = encode(arguments)
        rule = ruled(arguments, self._user)
        if rule is not None:
            return self._without_secrets(rule, command) or self.answers.given(_error(NotAllowed(rule.reason)))
        if name == b"CLIENT" and len(arguments) > 1 and as_server_reads(arguments[1]).upper() == b"REPLY":
            # From now on a marker may stay unanswered, and then the start of an answer is unknown.
            self._answered = False
        if name in (b"MULTI", b"EXEC", b"DISCARD"):
            tells, self._transaction_tells = self._transaction_tells, False
            self._in_transaction = name == b"MULTI"
            return self.answers.masked_from_now(command) if tells and name == b"EXEC" else command
        if not could_tell(name):
            return command
        if self._in_transaction:
            self._transaction_tells = True
            return command
        return self.answers.masked(command)

    def _without_secrets(self, rule: Rule, command: bytes) -> bytes | None:
        """What to send if the answer can be shown without its secrets. In a transaction it is part of EXEC's."""
        blank = rule.shown_by
        if blank is None or self._in_transaction or not self._answered:
            return None
        refused = _error(NotAllowed(rule.reason))
        return self.answers.rewritten(
            command, lambda answer: refused if (shown := blanked(answer, blank)) is None else shown
        )

    def _sighted(self) -> None:
        self._downstream.sighted()

    def _is_good(self, password: bytes) -> bool:
        return not self._downstream.over_tcp or self._downstream.authenticates(password)


def without_login(arguments: Sequence[bytes]) -> tuple[list[bytes], bytes | None]:
    """HELLO without its AUTH, and that password: `HELLO [version [AUTH user password] [SETNAME name]]`."""
    kept, password = list(arguments[:2]), None
    at = 2
    while at < len(arguments):
        option = arguments[at].upper()
        if option == b"AUTH" and at + 2 < len(arguments):
            password = arguments[at + 2]
            at += 3
        else:
            taken = 2 if option == b"SETNAME" else 1
            kept += arguments[at : at + taken]
            at += taken
    return kept, password


def _admitted(downstream: Downstream, commands: Commands) -> list[bytes | list[bytes]]:
    """Waits for the handle's token; returns the data from its command on. The session answers the command itself.

    Raises: OSError: the client is gone, too slow, or does not know it.
    """
    stream = downstream.stream
    deadline = time.monotonic() + downstream.limits.greeting_s
    wrong = 0
    while True:
        data = _received(stream, deadline)
        try:
            pieces = commands.feed(data)
        except ProtocolError as exc:
            stream.sendall(f"-ERR Protocol error: connvault: {exc}\r\n".encode())
            raise OSError("not a command of the protocol") from None
        for number, piece in enumerate(pieces):
            if isinstance(piece, bytes):
                raise OSError("not a command that could log in")
            given = _given_by(piece)
            if given is None:
                leaves = piece[0].upper() == b"QUIT"
                stream.sendall(_OK if leaves else _error(no_token(), kind="NOAUTH"))
                if leaves:
                    raise OSError("the client has taken its leave")
            elif downstream.authenticates(given):
                return pieces[number:]
            else:
                wrong += 1
                stream.sendall(_wrong_token())
                # Also within the first data.
                if wrong == _ATTEMPTS:
                    raise OSError("too many attempts")


def _given_by(command: Sequence[bytes]) -> bytes | None:
    """The password of a command that logs in; `None`: it does not."""
    name = command[0].upper()
    if name == b"AUTH" and len(command) in (2, 3):
        return command[-1]
    return without_login(command)[1] if name == b"HELLO" else None


def _refuse(downstream: Downstream, error: ConnvaultError) -> None:
    """Sends the refusal as the answer to the client's first command, and ends. Raises: OSError."""
    stream = downstream.stream
    deadline = time.monotonic() + downstream.limits.greeting_s
    if not downstream.over_tcp:
        _received(stream, deadline)
    stream.sendall(_error(error))
    stream.shutdown(socket.SHUT_WR)
    # Closing a socket with unread data would discard the answer.
    deadline = time.monotonic() + _DRAIN_S
    with contextlib.suppress(OSError):
        while True:
            _received(stream, deadline)


def _received(stream: socket.socket, deadline: float) -> bytes:
    """Raises: OSError: it has ended, or sends nothing until the deadline."""
    stream.settimeout(left_s(deadline))
    data = stream.recv(4096)
    if not data:
        raise OSError("the client has gone")
    return data


def _wrong_token() -> bytes:
    return _error(no_token(), kind="WRONGPASS")


def _error(error: ConnvaultError, *, kind: str = "") -> bytes:
    """`kind` is Redis's own, which libraries map to exceptions."""
    kind = kind or ("NOAUTH" if isinstance(error, UpstreamAuthFailed) else "ERR")
    said = refusal_text(error.code, " ".join(error.message.split()))
    return f"-{kind} {said}\r\n".encode()


def _told_by_a_server(passwords: Iterable[str]) -> set[str]:
    """Also the hash in the ACL. If the password can be guessed, so can its hash."""
    found = set()
    for password in passwords:
        if maskable(password):
            found |= {password, hashlib.sha256(password.encode()).hexdigest()}
    return found
