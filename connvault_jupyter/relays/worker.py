"""One worker process: the relay of one connection under one grant. It listens, accepts, and serves in threads.

    broker                                            worker
    {"listen": handle, "directory", "token",
     "fields", "tcp"}                             ->
                                                  <-  {"listening": handle, "port"}
                                                  <-  {"login": handle} + the client's socket, and one for
                                                      the answer: {"login" | "problem"}
                                                  <-  {"handed": n} + the upstream socket, and one for
                                                      the answer: KEPT
                                                  <-  {"returned": n, "kept": given back}
                                                  <-  {"sighted": handle}
    {"cut": handle}                               ->
                                                  <-  {"left": handle} + the socket of its port, if it is told there
                                                  <-  {"cut": handle}
    {"try": n, "login"}                           ->
                                                  <-  {"tried": n, "server" | "problem"}

The end of the pipe is the end of the process. A secret is held from the answer to the end of its login; for HTTP up to
a second longer, and an OAuth2 access token until it expires; for Redis as long as the connection, to mask it; for
PostgreSQL until a session for the next client is logged in. Nothing is written to disk except sockets.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import math
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from ..contracts.relay_wire import FORGET, HAND_OVER_SOCKET, SESSION_NUMBER, SOCKET, SOCKETS, problem_of
from ..errors import BrokerUnavailable, ConnvaultError, HandleInvalid, from_problem
from .acceptor import Acceptor
from .downstream import Downstream, Handle, Login, Relay
from .limits import LIMITS, Limits
from .pipe import Pipe, close_all
from .upstream import shut

# The broker needs at most 2 s to identify a new kernel.
_ANSWER_S = 10

# A thread's stack: libraries for TLS and SigV4 stay far below it, and it limits the cost of 256 clients.
_STACK_BYTES = 512 * 1024

# The broker now has a duplicate, with which it can end the socket that was handed over.
KEPT = b"+"

# Protocols whose clients retry where nobody listens any more: the broker tells them why (`ended_ports`).
TOLD_AT_THEIR_PORT = frozenset({"http"})

_BACKLOG = 128
# Far more than the clients of all handles: waiting for a thread would mean waiting for a client to leave.
_THREADS = 4096

# A connection that was cut may still have to tell its server something (to cancel a query); nobody can use it any
# more.
FAREWELL_S = 1.0

_SIGHTED_EVERY_S = 10.0
_TAKER_PATIENCE_S = 5


class Worker:
    """`run` serves until the broker disconnects."""

    def __init__(self, *, pipe: Pipe, protocol: str, relay: Relay, limits: Limits = LIMITS) -> None:
        self._pipe = pipe
        self._protocol = protocol
        self._relay = relay
        self._limits = limits
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._listening: dict[str, _Listening] = {}
        self._serving = 0
        self._taking = 0
        self._none_served = threading.Condition(self._lock)
        # Threads are reused: creating one takes a tenth of a warm connect. A client and its hand-over need two.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="client")
        self._acceptor = Acceptor(threads=self._threads)

    def run(self) -> None:
        """Returns when the broker has disconnected, after closing everything."""
        try:
            for message, descriptors in self._pipe.messages():
                close_all(descriptors)
                self._told(message)
        finally:
            self._end()

    def _told(self, message: dict[str, Any]) -> None:
        if "listen" in message:
            self._listen(message)
        elif "cut" in message:
            self._cut(message["cut"])
            self._pipe.send({"cut": message["cut"]})
        elif "try" in message:
            self._threads.submit(self._try, message)

    def _listen(self, message: Mapping[str, Any]) -> None:
        handle = Handle(message["listen"], message["directory"], message["token"], message["fields"])
        with self._lock:
            listening = self._listening.setdefault(handle.id, _Listening(handle))
        try:
            if not listening.sockets:
                path = os.path.join(handle.directory, SOCKETS.get(self._protocol, SOCKET))
                self._clients_at(_unix(path), listening, over_tcp=False)
                self._serve_hand_overs_at(_unix(os.path.join(handle.directory, HAND_OVER_SOCKET)), listening)
            if message["tcp"] and listening.port is None:
                inet = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
                listening.port = inet.getsockname()[1]
                self._clients_at(inet, listening, over_tcp=True)
        except OSError:
            self._cut(handle.id)
            self._pipe.send({"listening": handle.id, "failed": True})
            return
        self._pipe.send({"listening": handle.id, "port": listening.port})

    def _clients_at(self, socket_: socket.socket, listening: _Listening, *, over_tcp: bool) -> None:
        def serve(stream: socket.socket) -> None:
            if over_tcp:
                with contextlib.suppress(OSError):
                    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            downstream = Downstream(
                stream=stream,
                handle=listening.handle,
                over_tcp=over_tcp,
                limits=self._limits,
                ask=self._login,
                hand=self._hand,
                sight=self._sighted,
            )
            self._serve(downstream, listening)

        listening.sockets.append(socket_)
        self._acceptor.open(socket_, serve)

    def _serve_hand_overs_at(self, socket_: socket.socket, listening: _Listening) -> None:
        listening.sockets.append(socket_)
        self._acceptor.open(socket_, lambda stream: self._pass_on(stream, listening))

    def _serve(self, downstream: Downstream, listening: _Listening) -> None:
        with self._lock:
            leaves = None
            if len(listening.served) >= self._limits.connections:
                # The client that has been connected the longest without a login: any process of this user can connect
                # and send nothing.
                silent = (one for one in listening.served if not (one.let_in or one.ended))
                leaves = next(silent, downstream)
            # The handle may have been cut while this client connected.
            welcome = self._listening.get(listening.handle.id) is listening and leaves is not downstream
            if welcome:
                listening.served[downstream] = None
                self._serving += 1
        if leaves is not None:
            leaves.cut()
        if not welcome:
            downstream.close()
            return
        try:
            self._relay.serve(downstream)
        except (ConnvaultError, OSError):
            pass  # The protocol has already told its client.
        except Exception as exc:  # noqa: BLE001 -- one client must not end the others; its text could hold a secret
            _complain(exc)
        finally:
            downstream.close()
            with self._lock:
                listening.served.pop(downstream, None)
                self._serving -= 1
                self._none_served.notify_all()

    def _pass_on(self, stream: socket.socket, listening: _Listening) -> None:
        """A client requests its own upstream socket: the number under which it is offered; or FORGET."""
        with self._lock:
            # Any process of this user can ask, and each one occupies a thread while it is served.
            full = self._taking >= self._limits.connections
            self._taking += not full
        if full:
            shut(stream)
            return
        try:
            stream.settimeout(_TAKER_PATIENCE_S)
            number = stream.recv(SESSION_NUMBER.size, socket.MSG_WAITALL)
            if len(number) == SESSION_NUMBER.size:
                (session,) = SESSION_NUMBER.unpack(number)
                if session == FORGET:
                    self._relay.forget()
                else:
                    self._hand_over(session, stream, listening)
        except (ConnvaultError, OSError):
            pass  # The client finds its connection closed.
        finally:
            with self._lock:
                self._taking -= 1
            shut(stream)

    def _hand_over(self, session: int, asking: socket.socket, listening: _Listening) -> None:
        with self._lock:
            served = tuple(listening.served)
        for downstream in served:
            hand_over = downstream.hand_over
            # A client that is just leaving may have used the same session.
            if hand_over is None or hand_over.session != session or not hand_over.offered:
                continue
            # The broker has identified the client; whoever asks for its socket must be the same process.
            if _same_process(downstream.stream, asking):
                hand_over.take(asking)
                return

    def _login(self, downstream: Downstream) -> Login:
        # The answer comes on a separate socket, directly to this thread: through another one it would take 50 us
        # longer.
        ours, theirs = socket.socketpair()
        with ours:
            answers = Pipe(ours, receive_timeout_s=_ANSWER_S)
            try:
                with theirs:
                    descriptors = [downstream.stream.fileno(), theirs.fileno()]
                    self._pipe.send({"login": downstream.handle.id}, descriptors)
                received = answers.receive()
            except (OSError, ValueError):
                received = None
        if received is None:
            raise BrokerUnavailable
        message, _ = received
        problem = message.get("problem")
        if problem is not None:
            raise from_problem(problem)
        return login_of(message["login"])

    def _hand(self, downstream: Downstream, upstream: int) -> Callable[[bool], None]:
        number = next(self._numbers)
        if downstream.ended:
            raise HandleInvalid(reason="revoked")
        ours, theirs = socket.socketpair()
        with ours:
            ours.settimeout(_ANSWER_S)
            with theirs:
                self._pipe.send(
                    {"handed": number, "handle": downstream.handle.id}, [upstream, theirs.fileno()]
                )
            # Only once the broker has it: sent is not received, and the broker may be ending, or have no descriptor
            # left.
            kept = ours.recv(1) == KEPT
        if not kept:
            raise HandleInvalid(reason="revoked")

        def returned(given_back: bool) -> None:
            with contextlib.suppress(OSError):
                self._pipe.send({"returned": number, "kept": given_back})

        return returned

    def _sighted(self, downstream: Downstream) -> None:
        """A secret was masked: tells the broker. Only once in a while per handle, as a loop would fill the pipe."""
        handle, now = downstream.handle.id, time.monotonic()
        with self._lock:
            listening = self._listening.get(handle)
            if listening is None or now < listening.sighted_at + _SIGHTED_EVERY_S:
                return
            listening.sighted_at = now
        with contextlib.suppress(OSError):
            self._pipe.send({"sighted": handle})

    def _try(self, message: Mapping[str, Any]) -> None:
        answer: dict[str, Any]
        try:
            answer = {"server": self._relay.log_in(login_of(message["login"]))}
        except ConnvaultError as exc:
            answer = {"problem": problem_of(exc)}
        except Exception as exc:  # noqa: BLE001 -- its text could hold a secret
            _complain(exc)
            answer = {"problem": problem_of(ConnvaultError())}
        with contextlib.suppress(OSError):
            self._pipe.send({"tried": message["try"], **answer})

    def _cut(self, handle: str) -> None:
        with self._lock:
            listening = self._listening.pop(handle, None)
            served = () if listening is None else tuple(listening.served)
        for downstream in served:
            downstream.cut()
        for socket_ in () if listening is None else listening.sockets:
            if self._protocol in TOLD_AT_THEIR_PORT and socket_.family == socket.AF_INET:
                self._acceptor.leave(socket_)
                with contextlib.suppress(OSError):
                    self._pipe.send({"left": handle}, [socket_.fileno()])
            self._acceptor.close(socket_)

    def _end(self) -> None:
        for handle in list(self._listening):
            self._cut(handle)
        self._acceptor.end()
        self._relay.close()
        with self._lock:
            self._none_served.wait_for(lambda: not self._serving, FAREWELL_S)


@dataclass
class _Listening:
    handle: Handle
    sockets: list[socket.socket] = field(default_factory=list)
    port: int | None = None
    # In order of arrival.
    served: dict[Downstream, None] = field(default_factory=dict)
    sighted_at: float = -math.inf


def run(stream: socket.socket, protocol: str) -> None:
    """The life of a worker process whose pipe to the broker is `stream`."""
    # Sockets are created for this user only, whatever the umask was.
    os.umask(0o177)
    threading.stack_size(_STACK_BYTES)
    # A thread that computes delays one that only copies bytes by at most this long.
    sys.setswitchinterval(0.0005)
    relay: Relay = module_of(protocol).Relay(limits=LIMITS)
    Worker(pipe=Pipe(stream), protocol=protocol, relay=relay).run()


def module_of(protocol: str) -> Any:
    """The module of a protocol. `protocol` is one of `contracts.providers.RelayProtocol`."""
    return importlib.import_module(f"{__package__}.{protocol}.relay")


def login_of(found: Mapping[str, Any]) -> Login:
    """A login as sent over the pipe."""
    return Login(found["fields"], found["secrets"], found["revision"], found["rotation"])


def _unix(path: str) -> socket.socket:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(path)
        listener.listen(_BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _same_process(one: socket.socket, other: socket.socket) -> bool:
    """Whether the peers of two Unix sockets are the same process. Linux only; elsewhere nothing is handed over."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return False
    size = struct.calcsize("3i")
    return one.getsockopt(socket.SOL_SOCKET, option, size) == other.getsockopt(
        socket.SOL_SOCKET, option, size
    )


def _complain(error: BaseException) -> None:
    """Prints type and location to standard error: text and values could hold a secret."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = (
        "" if last is None else f" at {os.path.basename(last.tb_frame.f_code.co_filename)}:{last.tb_lineno}"
    )
    print(f"connvault relay: {type(error).__name__}{where}", file=sys.stderr, flush=True)  # noqa: T201
