"""Serves one client: request by request, each checked, given its credential and sent to the pinned upstream.

Answers are handled by `response`. A request is only sent a second time if the first one can't have had an effect: the
server had closed a kept connection before sending anything, and the method may be repeated (RFC 9110 9.2.2).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from ...errors import (
    ConnvaultError,
    NotAllowed,
    UpstreamRefused,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from ..copying import copy_both
from ..downstream import Downstream, Login, no_token
from ..limits import Limits
from ..masking.holding import Holding
from ..masking.masker import Masker
from .addresses import as_asked
from .authorization import Authorization
from .bodies import BadBody, Body, Chunked, OfLength
from .client_auth import HandleToken, may_enter
from .cookie_names import NO_COOKIES, CookieNames
from .encodings import BadCoding
from .headers import names_another_method, passing_trailers, wanted_upgrade
from .heads import BadHead, Headers, RequestHead, request_head
from .jars import Jars
from .passing import Passed, upstream_request
from .pool import Hold, Pool, UpstreamConnection, block
from .post_form import PostForm, form_at_start
from .problem_responses import form_of, malformed, problem_answer
from .request import Request, serialised, with_cookies
from .response import Response
from .streams import Exchange, Gone, Incoming, Silent
from .websocket import Messages

_REPEATABLE = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})

# A body has no meaning in these (RFC 9110 9.3), and a server that does not read it takes it for the next request.
_BODY_UNEXPECTED = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})

# Such a body is read before anything is sent: one write instead of a loop, and a login can be retried.
_SMALL_BODY_BYTES = 128 * 1024

# For a client that is still sending when its answer is complete.
_DRAIN_S = 2.0


@dataclass(frozen=True)
class Target:
    """Where and how to log in. `cookies` are the names of its session cookies."""

    pool: Pool
    authorization: Authorization
    cookies: CookieNames = NO_COOKIES


class _Stale(Exception):
    """A kept connection was closed before the server sent anything."""


class ClientConnection:
    """`target_of` is called for each login. `run` returns when the client or the upstream has ended it."""

    def __init__(
        self, downstream: Downstream, *, limits: Limits, target_of: Callable[[Login], Target]
    ) -> None:
        self._downstream = downstream
        self._limits = limits
        self._target_of = target_of
        self._incoming = Incoming(downstream.stream, limits=limits, idle=self._forget)
        self._hold = Hold(downstream)
        self._token = HandleToken(downstream.authenticates, len(downstream.handle.token))
        self._signs = downstream.handle.fields.get("auth") == "sigv4"
        self._form = form_of(downstream.handle.fields)
        self._jars = Jars(downstream.handle)
        self._read: tuple[bytes, RequestHead] | None = None
        self._welcome: RequestHead | None = None
        self._passed: tuple[tuple[object, ...], Passed] | None = None
        # Kept between requests as long as the login: the last head with its login and its cookies; what must be
        # masked.
        self._signed: tuple[Request, Login, dict[str, str], bytes, Masker | None] | None = None
        self._hidden: tuple[set[str], Masker] | None = None

    def run(self) -> None:
        try:
            while self._next():
                pass
        finally:
            self._forget()
            self._hold.give_back()

    def _forget(self) -> None:
        self._downstream.forget()
        self._signed = None
        self._hidden = None

    def _next(self) -> bool:
        """Serves one request; returns whether there may be another one."""
        try:
            data = self._incoming.head()
            if data is None:
                return False
            head = self._parsed(data)
        except BadHead as exc:
            return self._refuse(None, malformed(str(exc)))
        try:
            form = form_at_start(self._incoming, head) if self._signs else None
            if not self._welcomes(head, form):
                return self._refuse(head, no_token(), status=401)
            return self._serve(head, form)
        except BadBody as exc:
            return self._refuse(head, malformed(str(exc)))
        except ConnvaultError as exc:
            return self._refuse(head, exc)

    def _welcomes(self, head: RequestHead, form: PostForm | None) -> bool:
        if self._welcome is not head and may_enter(self._downstream, head, self._token):
            self._welcome = head
        return self._welcome is head or (form is not None and form.gives(self._token))

    def _serve(self, head: RequestHead, form: PostForm | None) -> bool:
        body = _body_of(head, form)
        login = self._downstream.current_login()
        target = self._target_of(login)
        logs_in = (login.fields.get("auth") or "none") != "none"
        upgrade = wanted_upgrade(head)
        if upgrade and (head.awaits_word or not body.over):
            raise malformed("an upgrade must not have a body")
        passed = self._checked(head, target, logs_in=logs_in, upgrade=upgrade)
        stored = login.fields.get("auth") == "sigv4"
        attempt = _Attempt(head, body, b"", upgrade, logs_in, stored, passed, target, login)
        if form is not None:
            self._sign(attempt, form)
        if not body.over:
            waits = head.awaits_word and form is None
            small = head.framing == "length" and head.length <= _SMALL_BODY_BYTES and not waits
            attempt.content = self._incoming.small(body) if small else None
        return self._attempted(attempt)

    def _sign(self, attempt: _Attempt, form: PostForm) -> None:
        """Raises: NotAllowed: the connection no longer signs; and as `SigV4.apply_to_form`."""
        from .sigv4 import SigV4

        authorization = attempt.target.authorization
        if not isinstance(authorization, SigV4):
            raise NotAllowed("The connection now logs in in another way. Call connection() again.")
        request, attempt.start = authorization.apply_to_form(attempt.passed.request, form, attempt.login)
        attempt.passed = replace(attempt.passed, request=request)
        self._incoming.buffer = self._incoming.buffer[form.length :]

    def _parsed(self, data: bytes) -> RequestHead:
        """Clients that poll or page send the same head again and again, so it is parsed once. Raises: BadHead."""
        if self._read is None or self._read[0] != data:
            self._read = data, request_head(data)
            self._passed = None
        return self._read[1]

    def _checked(self, head: RequestHead, target: Target, *, logs_in: bool, upgrade: str) -> Passed:
        """The checked request without its credential, created once for the same head. Raises: NotAllowed."""
        origin, places = target.pool.origin, target.authorization.places
        cookies = target.cookies if logs_in else NO_COOKIES
        made_for = origin, places, cookies, logs_in
        if self._passed is None or self._passed[0] != made_for:
            origin.check(head.target)
            made = upstream_request(
                head,
                origin,
                logs_in=logs_in,
                places=places,
                cookies=cookies,
                token=self._token,
                upgrade=upgrade,
            )
            self._passed = made_for, made
        return self._passed[1]

    def _attempted(self, attempt: _Attempt) -> bool:
        may_repeat = attempt.content is not None
        target = attempt.target
        while True:
            wire, attempt.mask = self._with_login(attempt)
            connection = self._hold.connection(target.pool)
            try:
                reply = self._sent(attempt, wire, connection)
            except _Stale:
                self._hold.let_go()
                if (
                    may_repeat
                    and attempt.head.method in _REPEATABLE
                    and not names_another_method(attempt.head)
                ):
                    continue
                raise UpstreamUnreachable(
                    "The service closed the connection before it answered. Try again."
                ) from None
            except BaseException:
                self._hold.let_go()
                raise
            # Called in any case: a refused token must not be kept, even if this request can't be repeated.
            if reply.status == 401 and target.authorization.refused(attempt.login) and may_repeat:
                # The request had no effect, and there is a new credential: retry once.
                may_repeat = False
                self._hold.let_go()
                continue
            return self._answered(attempt, reply, connection)

    def _with_login(self, attempt: _Attempt) -> tuple[bytes, Masker | None]:
        """The head to send, and the masker for the answer; `None`: there is no secret in it.

        Raises: what `Authorization.apply` does.
        """
        request, login = attempt.passed.request, attempt.login
        cookies = self._jars.for_target(request.target, login)
        kept = self._signed
        if kept is not None and kept[0] is request and kept[1] is login and kept[2] == cookies:
            return kept[3], kept[4]
        authorization = attempt.target.authorization
        request_with = with_cookies(request, cookies)
        # A signed form is not a signed request.
        wire = serialised(request_with if attempt.start else authorization.apply(request_with, login))
        # A session cookie of the login is a credential too.
        mask = self._masking(authorization.credentials(login).union(cookies.values()))
        self._signed = (request, login, cookies, wire, mask) if authorization.steady else None
        return wire, mask

    def _for_client(self, attempt: _Attempt, headers: Headers) -> Headers:
        """The headers of an answer for the client, before masking."""
        origin = attempt.target.pool.origin
        if attempt.logs_in:
            headers = self._jars.taken(
                headers,
                target=attempt.head.target,
                login=attempt.login,
                origin=origin,
                names=attempt.target.cookies,
            )
        asked_at = "".join(attempt.head.values("host"))
        return [*as_asked(headers, origin, asked_at=asked_at), *attempt.passed.notes]

    def _sent(self, attempt: _Attempt, wire: bytes, connection: UpstreamConnection) -> Response:
        """Sends the request; returns when the head of the answer has arrived."""
        exchange = Exchange(self._incoming, connection.stream, limits=self._limits)
        try:
            exchange.send(wire + attempt.start + (attempt.content or b""))
        except OSError:
            # The server may have answered before closing.
            if connection.used:
                raise _Stale from None
        if attempt.content is None:
            exchange.upload(
                attempt.body,
                coded=attempt.head.framing == "chunked",
                passing=partial(
                    passing_trailers, places=attempt.target.authorization.places, token=self._token
                ),
            )
        reply = Response(
            exchange,
            request=attempt.head,
            mask=attempt.mask,
            for_client=partial(self._for_client, attempt),
            stored=attempt.stored,
            upgrade=attempt.upgrade,
            limits=self._limits,
        )
        try:
            reply.read_head()
        except Silent:
            raise UpstreamTimeout from None
        except Gone:
            raise
        except (EOFError, OSError):
            if connection.used and not reply.begun:
                raise _Stale from None
            raise UpstreamUnreachable(
                "The service closed the connection without an answer. Check host, port and scheme (http or "
                "https)."
            ) from None
        except BadHead:
            raise UpstreamRefused(
                "The server did not answer with HTTP. Check host, port and scheme."
            ) from None
        return reply

    def _answered(self, attempt: _Attempt, reply: Response, connection: UpstreamConnection) -> bool:
        whole = False
        try:
            if reply.switched:
                reply.pass_head()
                self._switched(attempt, reply, connection.stream)
                return False
            whole = reply.pass_on()
        except (EOFError, BadBody, BadCoding, OSError):
            if not reply.told:
                raise UpstreamRefused("The service's answer is malformed.") from None
            # The head is already sent: only a missing end can tell the client.
            return False
        finally:
            if not whole:
                self._hold.let_go()
        if not reply.request_complete:
            self._hold.let_go()
            with contextlib.suppress(OSError):
                self._incoming.drain(_DRAIN_S)
            return False
        if not reply.reusable or (attempt.content != b"" and attempt.head.method in _BODY_UNEXPECTED):
            self._hold.let_go()
        connection.used = True
        return reply.client_persists

    def _switched(self, attempt: _Attempt, reply: Response, upstream: socket.socket) -> None:
        """Copies bytes of another protocol both ways."""
        client = self._incoming.stream
        client.setblocking(True)
        upstream.settimeout(self._limits.stalled_s)
        early, self._incoming.buffer = self._incoming.buffer, b""
        if early:
            upstream.sendall(early)
        held: Messages | Holding | None = None
        if attempt.mask is not None:
            web_socket = attempt.upgrade.lower() == "websocket"
            held = Messages(attempt.mask) if web_socket else Holding(attempt.mask, lines=False)
        came = held(reply.rest) if held is not None and reply.rest else reply.rest
        if came:
            client.sendall(came)
        with contextlib.suppress(OSError):
            copy_both(client, upstream, limits=self._limits, held=held)

    def _masking(self, hidden: set[str]) -> Masker | None:
        if self._hidden is None or hidden != self._hidden[0]:
            self._hidden = hidden, Masker(hidden, sighted=self._downstream.sighted)
        return self._hidden[1] if hidden else None

    def _refuse(self, head: RequestHead | None, error: ConnvaultError, *, status: int | None = None) -> bool:
        """Tells the client; returns whether it may continue. After an unread body the next head can't be found."""
        goes_on = head is not None and head.persistent and head.framing == "length" and head.length == 0
        # An upload may have left the socket non-blocking.
        block(self._incoming.stream, self._limits)
        self._incoming.stream.sendall(
            problem_answer(
                error,
                form=self._form,
                accepts=head.values("accept") if head is not None else (),
                status=status,
                body=head is None or head.method != "HEAD",
                close=not goes_on,
            )
        )
        if not goes_on:
            with contextlib.suppress(OSError):
                self._incoming.drain(_DRAIN_S)
        return goes_on


@dataclass
class _Attempt:
    """A request that is being sent. `content` is its whole body; `None`: the body is sent while the answer is read.

    `start`: replaces the start of the client's body. `stored`: see `Response`."""

    head: RequestHead
    body: Body
    content: bytes | None
    upgrade: str
    logs_in: bool
    stored: bool
    passed: Passed
    target: Target
    login: Login = field(repr=False)
    start: bytes = b""
    mask: Masker | None = None


def _body_of(head: RequestHead, form: PostForm | None) -> Body:
    """The part of it that is forwarded unchanged."""
    if head.framing == "chunked":
        return Chunked()
    return OfLength(head.length - (form.length if form is not None else 0))
