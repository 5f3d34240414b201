"""One answer of the upstream on its way to the client: read, looked through for the credential, framed anew.

Nothing is kept of it but a block. Its framing is never the server's own: what was understood is what is sent.
"""

from __future__ import annotations

import time

from ...errors import UpstreamRefused
from ..limits import Limits
from ..masking import Masker
from .bodies import Body, Chunked, OfLength, UntilClose, chunk, last_chunk
from .encodings import Inflating, coding_of
from .headers import client_headers, passing_trailers
from .heads import END, MAX_HEAD_BYTES, BadHead, RequestHead, ResponseHead, response_head
from .streams import Exchange, Silent

# 100 and 103 and what may come: a server that sends more of them has nothing to say.
_MAX_INTERIM = 16


class Reply:
    """Use: `read_head`, then `pass_on`, or `pass_head` if it `switched` to another protocol.

    `stored`: an object's coding is a part of it (of its length, checksums and ranges), so it is not taken off.
    `begun`: a byte of it has come. `told`: the client has a part of it. `rest` is what came after the head of a
    switched answer.
    """

    def __init__(
        self,
        exchange: Exchange,
        *,
        request: RequestHead,
        mask: Masker,
        logs_in: bool,
        stored: bool,
        upgrade: str,
        limits: Limits,
    ) -> None:
        self._exchange = exchange
        self._request = request
        # Of this answer alone.
        self._mask = mask.fresh() if mask else None
        self._logs_in = logs_in
        self._stored = stored
        self._upgrade = upgrade
        self._limits = limits
        self._head: ResponseHead | None = None
        self._reusable = False
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
        """The connection belongs to the protocol now that the client has asked for."""
        return self.status == 101

    @property
    def reusable(self) -> bool:
        """Whether the upstream takes another request on this connection."""
        return self._reusable

    def read_head(self) -> None:
        """The final head; a `100 Continue` that the client waits for is passed on.

        Raises: EOFError: the connection ended before it had begun. BadHead. OSError: it broke, or took too long.
        UpstreamRefused: an answer that was not asked for, or that can't be looked through.
        """
        buffer = b""
        for _ in range(_MAX_INTERIM):
            data, buffer = self._one_head(buffer)
            head = response_head(data)
            if head.status == 100 and "expect" in self._request.names:
                self._exchange.answer(b"HTTP/1.1 100 Continue\r\n\r\n")
            if head.status == 101 or head.status >= 200:
                break
        else:
            raise BadHead("too many interim answers")
        if head.status == 101 and (not self._upgrade or head.tokens("upgrade") != [self._upgrade.lower()]):
            raise UpstreamRefused("The service changes the protocol without being asked.")
        self._head = head
        self.rest = buffer
        looks_inside = self._mask is not None and not self._stored
        self._coding = coding_of(head.tokens("content-encoding")) if looks_inside else ""
        if self._coding is None or (self._coding and head.status == 206):
            raise UpstreamRefused(
                "The service answers in an encoding that can't be looked through for the credential."
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
        """The head of a switched answer."""
        lines = ["Connection: Upgrade", f"Upgrade: {self._upgrade}"]
        self._tell(self._head_bytes(lines))

    def pass_on(self) -> bool:
        """Head and body to the client; `True`: both are whole.

        Raises: EOFError, BadBody, BadCoding: the answer ends early or is malformed. OSError: a side broke.
        """
        head, body = self.head, self._body()
        framing, coded = self._framing(body)
        if self._exchange.uploading or not self.client_persists:
            # While the request is still coming nobody knows whether it will end.
            self.client_persists = False
            framing.append("Connection: close")
        elif self._request.version == "1.0":
            framing.append("Connection: keep-alive")
        out = self._head_bytes(framing)
        data, self.rest = self.rest, b""
        inflate = Inflating(self._coding) if self._coding else None
        mask = self._mask
        if body.over:
            self._tell(out)
            self.rest = data
        elif inflate is None and not coded and isinstance(body, OfLength):
            self._pass_plain(out, data, body)
        else:
            self._pass_coded(out, data, body, inflate, mask, coded=coded)
        self.request_complete = self._exchange.finish()
        self._reusable = (
            head.persistent
            and self.request_complete
            and not (self.rest or body.rest or isinstance(body, UntilClose))
        )
        return True

    def _pass_plain(self, out: bytes, data: bytes, body: OfLength) -> None:
        """Byte for byte but for what is masked: the way of large downloads and small answers."""
        exchange, mask = self._exchange, self._mask
        begun = False
        while True:
            if data:
                content = body.feed(data)
                if mask is not None and body.over and not begun:
                    content = mask.whole(content)
                elif mask is not None:
                    content = mask(content)
                    if body.over:
                        content += mask(b"")
                begun = True
                out = out + content if out else content
            if out:
                self._tell(out)
                out = b""
            if body.over:
                return
            data = exchange.receive()
            if not data:
                raise EOFError

    def _pass_coded(
        self,
        out: bytes,
        data: bytes,
        body: Body,
        inflate: Inflating | None,
        mask: Masker | None,
        *,
        coded: bool,
    ) -> None:
        exchange = self._exchange
        more = bool(data)
        while True:
            if more:
                content = body.feed(data)
                for piece in inflate.feed(content) if inflate is not None else (content,):
                    shown = mask(piece) if mask is not None and piece else piece
                    out += chunk(shown) if coded else shown
                    if len(out) >= self._limits.block_bytes:
                        self._tell(out)
                        out = b""
            if body.over:
                break
            if out:
                self._tell(out)
                out = b""
            data, more = exchange.receive(), True
        if inflate is not None:
            inflate.finish()
        held = mask(b"") if mask is not None else b""
        if coded:
            out += chunk(held) + last_chunk(self._trailers(body))
        else:
            out += held
        if out:
            self._tell(out)

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
        """The framing's header lines, and whether the content goes out in chunks."""
        head = self.head
        told = "content-length" in head.names and not self._coding
        if self._request.method == "HEAD" or head.status in (204, 304):
            return ([f"Content-Length: {head.length}"] if told and head.status != 204 else []), False
        if isinstance(body, OfLength) and not self._coding:
            return [f"Content-Length: {head.length}"], False
        if self._request.version == "1.1":
            return ["Transfer-Encoding: chunked"], True
        self.client_persists = False
        return [], False

    def _head_bytes(self, framing: list[str]) -> bytes:
        head = self.head
        headers = client_headers(head, logs_in=self._logs_in, decoded=bool(self._coding))
        lines = [f"{name}: {value}" for name, value in headers]
        shown = "\r\n".join([head.reason, *lines]).encode("latin-1")
        if self._mask is not None:
            shown = self._mask.whole(shown)
        reason, _, rest = shown.partition(b"\r\n")
        ends = "\r\n".join([*framing, "", ""]).encode("ascii")
        return b"HTTP/1.1 %d %b\r\n%b%b%b" % (head.status, reason, rest, b"\r\n" if rest else b"", ends)

    def _trailers(self, body: Body) -> list[tuple[bytes, bytes]]:
        passing = passing_trailers(body.trailers, logs_in=self._logs_in)
        if self._mask is None:
            return passing
        return [(self._mask.whole(name), self._mask.whole(value)) for name, value in passing]
