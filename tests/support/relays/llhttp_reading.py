"""What llhttp reads in a stream of HTTP messages: an oracle that is no code of ours. It judges nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import httptools


@dataclass
class Message:
    """One message as `Read` has it."""

    url: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    whole: bool = False


class Read:
    """Feed it once; the `messages` are there then."""

    def __init__(self, kind: type[httptools.HttpRequestParser] | type[httptools.HttpResponseParser]) -> None:
        self.messages: list[Message] = []
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._parser = kind(self)

    def feed(self, data: bytes) -> Read:
        """All of it, or as far as it is HTTP. Raises: httptools.HttpParserError."""
        with suppress(httptools.HttpParserUpgrade):
            self._parser.feed_data(data)
        return self

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.messages.append(Message(self._url, self._headers))

    def on_body(self, body: bytes) -> None:
        self.messages[-1].body += body

    def on_message_complete(self) -> None:
        self.messages[-1].whole = True
