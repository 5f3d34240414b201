"""Forwards one answer of the upstream to the client: parsed, searched for the credential, reframed.

At most one block of it is held. Its framing is never the server's own: what was understood is what is sent.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import time
from collections.abc import Callable

from ...errors import UpstreamRefused
from ...services.secrets.guessability import MIN_CHARS
from ..limits import Limits
from ..masking.holding import HOLD_S
from ..masking.masker import Masker
from .bodies import BadBody, Body, Chunked, OfLength, UntilClose, last_chunk
from .encodings import BadCoding, codings_of
from .headers import client_headers, passing_trailers
from .heads import (
    END,
    MAX_HEAD_BYTES,
    BadHead,
    Headers,
    RequestHead,
    ResponseHead,
    response_head,
)
from .masked_content import Shown
from .media_types import is_data, is_stream_of_lines
from .streams import Exchange, Silent

# For 100, 103 and future ones: a server that sends more of them is broken.
_MAX_INTERIM = 16

# Of an answer that calls itself data. Who echoes a request does it at the beginning, or in text.
DATA_LOOK_BYTES = 1024 * 1024

# Between lines that are searched at once: no spelling goes on past it, and no credential has it.
_APART = "\f\f"

# Added to an answer in which something is masked, if that was known before its head was sent.
MASKED_HEADER = "X-Connvault-Masked"


class Response:
    """Use: `read_head`, then `pass_on`, or `pass_head` if it `switched` to another protocol.

    `for_client`: the headers for the client. `stored`: the coding belongs to a stored object (to its length, checksums
    and ranges), so it is not decoded. `begun`: a byte of it has arrived. `told`: the client has received a part of it.
    `rest` is what followed the head of a switched answer.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        request: RequestHead,
        mask: Masker | None,
        for_client: Callable[[Headers], Headers],
        stored: bool,
        upgrade: str,
        limits: Limits,
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._mask = mask
        self._sights = 0 if mask is None else mask.sights
        self._for_client = for_client
        self._stored = stored
        self._upgrade = upgrade
        self._limits = limits
        self._head: ResponseHead | None = None
        self._reusable = False
        self._framed: list[str] = []
        # Content that will be sent together with what follows.
        self._waiting = b""
        self.rest = b""
        self.begun = False
        self.told = False
        self.client_persists = request.persistent
        self.request_complete = True

    @property
    def head(self) -> ResponseHead:
        assert self._head is not None  # noqa: S101 -- for the type checker; `read_head` was first
        return self._head

    @property
    def status(self) -> int:
        return self.head.status

    @property
    def switched(self) -> bool:
        """Whether the connection has switched to the protocol for which the client asked."""
        return self.status == 101

    @property
    def reusable(self) -> bool:
        """Whether the upstream accepts another request on this connection."""
        return self._reusable

    def read_head(self) -> None:
        """The final head; a `100 Continue` for which the client waits is forwarded.

        Raises: EOFError: the connection ended before it had begun. BadHead. OSError: the connection failed, or took
        too long.
        UpstreamRefused: the answer was not requested, or can't be searched.
        """
        buffer = b""
        for _ in range(_MAX_INTERIM):
            data, buffer = self._one_head(buffer)
            head = response_head(data)
            if head.status == 100 and self._request.awaits_word:
                self._exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
            if head.status == 101 or head.status >= 200:
                break
        else:
            raise BadHead("too many interim responses")
        if head.status == 101 and (not self._upgrade or head.tokens("upgrade") != [self._upgrade.lower()]):
            raise UpstreamRefused("The service switched protocols without being asked.")
        self._head = head
        self.rest = buffer
        looks_inside = self._mask is not None and not self._stored
        self._codings = codings_of(head.tokens("content-encoding")) if looks_inside else ()
        if self._codings is None or (self._codings and head.status == 206):
            raise UpstreamRefused(
                "The service used an encoding in which connvault can't search for the credential."
            )

    def _one_head(self, buffer: bytes) -> tuple[bytes, bytes]:
        end = buffer.find(END)
        started = 0.0
        while end < 0:
            if len(buffer) > MAX_HEAD_BYTES:
                raise BadHead("the head is too long")
            data = self._exchange.receive()
            if not data and not self.begun:
                raise EOFError
            self.begun = True
            if not data:
                raise BadHead("the head ends early")
            since = max(0, len(buffer) - len(END) + 1)
            buffer = buffer + data if buffer else data
            end = buffer.find(END, since)
            if end < 0:
                now = time.monotonic()
                started = started or now
                if now - started > self._limits.login_s:
                    raise Silent
        return buffer[: end + len(END)], buffer[end + len(END) :]

    def pass_head(self) -> None:
        """Forwards the head of a switched answer."""
        self._framed = ["Connection: Upgrade", f"Upgrade: {self._upgrade}"]
        self._tell(self._head_bytes())

    def pass_on(self) -> bool:
        """Forwards head and body to the client; `True`: both were complete.

        Raises: EOFError, BadBody, BadCoding: the answer ends early or is malformed. OSError: one side failed.
        """
        head, body = self.head, self._body()
        framing, coded = self._framing(body)
        if self._exchange.uploading or not self.client_persists:
            # While the request is still being sent, it is unknown whether it will complete.
            self.client_persists = False
            framing.append("Connection: close")
        elif self._request.version == "1.0":
            framing.append("Connection: keep-alive")
        self._framed = framing
        data, self.rest = self.rest, b""
        if body.over:
            self._tell(self._head_bytes())
            self.rest = data
        elif isinstance(body, OfLength) and len(data) >= body.left and not (self._codings or coded):
            # The usual small answer: none of it has to wait.
            content = body.feed(data)
            if self._mask is not None:
                content = self._mask.whole(content)
            self._tell(self._head_bytes() + content)
        elif self._mask is None and not (self._codings or coded):
            self._pass_plain(data, body)
        else:
            self._pass_looked_through(data, body, coded=coded)
        self.request_complete = self._exchange.finish()
        self._reusable = (
            head.persistent
            and self.request_complete
            and not (self.rest or body.rest or isinstance(body, UntilClose))
        )
        return True

    def _pass_plain(self, data: bytes, body: Body) -> None:
        """Byte for byte."""
        out = self._head_bytes()
        if data:
            out += body.feed(data)
        while True:
            if out:
                self._tell(out)
            if body.over:
                return
            out = body.feed(self._exchange.receive() or b"")

    def _pass_looked_through(self, data: bytes, body: Body, *, coded: bool) -> None:
        """Decoded and masked."""
        shown = Shown(
            self._mask,
            codings=self._codings or (),
            coded=coded,
            lines=is_stream_of_lines(self.head),
            most=DATA_LOOK_BYTES if is_data(self.head) else math.inf,
        )
        try:
            self._pass_shown(data, body, shown)
            shown.finish()
        except (EOFError, BadBody, BadCoding, OSError):
            # The client gets what there is, and notices the missing end.
            rest = shown.rest()
            if rest:
                with contextlib.suppress(OSError):
                    self._flushed(rest)
            raise
        self._flushed(shown.rest() + (last_chunk(self._trailers(body)) if coded else b""))

    def _pass_shown(self, data: bytes, body: Body, shown: Shown) -> None:
        """The head is sent with the first content, so that it can say that something is masked. It waits no longer
        than content does, and not at all before a stream of lines, or if nothing is masked."""
        waits = self._mask is not None and not is_stream_of_lines(self.head)
        head_due = time.monotonic() + HOLD_S if waits else 0.0
        out, ended = b"", False
        while True:
            if data or ended:
                content = body.feed(data)
                for piece in shown.feed(content, last=body.over):
                    out += piece
                    if len(out) >= self._limits.block_bytes:
                        out = self._flushed(out)
            if body.over:
                self._waiting = out
                return
            if out or (not self.told and head_due <= time.monotonic()):
                if not self.told:
                    shown.look()
                out = self._flushed(out)
            until = shown.held_until
            received = self._exchange.receive(until if self.told else min(until, head_due))
            ended, data = received == b"", received or b""
            if received is None:
                out = shown.release()

    def _flushed(self, out: bytes) -> bytes:
        """Sends everything that waits, including the head."""
        waiting, self._waiting = self._waiting, b""
        out = waiting + out
        if not self.told:
            out = self._head_bytes() + out
        if out:
            self._tell(out)
        return b""

    def _tell(self, data: bytes) -> None:
        self.told = True
        self._exchange.answer(data)

    def _body(self) -> Body:
        head = self.head
        if self._request.method == "HEAD" or head.status in (204, 304):
            return OfLength(0)
        if head.framing == "chunked":
            return Chunked()
        return OfLength(head.length) if head.framing == "length" else UntilClose()

    def _framing(self, body: Body) -> tuple[list[str], bool]:
        """The framing headers, and whether the content is sent in chunks."""
        head = self.head
        told = "content-length" in head.names and not self._codings
        if self._request.method == "HEAD" or head.status in (204, 304):
            return ([f"Content-Length: {head.length}"] if told and head.status != 204 else []), False
        if isinstance(body, OfLength) and not self._codings:
            return [f"Content-Length: {head.length}"], False
        if self._request.version == "1.1":
            return ["Transfer-Encoding: chunked"], True
        self.client_persists = False
        return [], False

    def _head_bytes(self) -> bytes:
        head = self.head
        headers = self._for_client(client_headers(head, decoded=bool(self._codings)))
        lines = [head.reason, *(f"{name}: {value}" for name, value in headers)]
        framed = self._framed
        if self._mask is not None:
            # Headers that are too short need no search; their length is not secret.
            if any(
                len(text) >= MIN_CHARS for text in (head.reason, *(text for pair in headers for text in pair))
            ):
                lines = _masked(self._mask, lines, headers)
            if self._mask.sights != self._sights:
                framed = [f"{MASKED_HEADER}: 1", *framed]
        return "\r\n".join([f"HTTP/1.1 {head.status} {lines[0]}", *lines[1:], *framed, "", ""]).encode(
            "latin-1"
        )

    def _trailers(self, body: Body) -> list[tuple[bytes, bytes]]:
        passing = passing_trailers(body.trailers)
        if self._mask is None:
            return passing
        return [(self._mask.whole(name), self._mask.whole(value)) for name, value in passing]


def _masked(mask: Masker, lines: list[str], headers: Headers) -> list[str]:
    """The reason's and the headers' lines, each masked for itself; they are searched at once, which is faster.

    What is between a name and its value stays, if a secret had it in it.
    """
    masked = mask.whole(_APART.join(lines).encode("latin-1")).decode("latin-1")
    ends = itertools.accumulate(len(line) + len(_APART) for line in lines)
    reason, *told = (
        masked[end - len(_APART) - len(line) : end - len(_APART)]
        for line, end in zip(lines, ends, strict=True)
    )
    named = zip(told, headers, strict=True)
    return [reason, *(f"{line[: len(name)]}: {line[len(name) + 2 :]}" for line, (name, _) in named)]
