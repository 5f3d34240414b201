"""Whether a client on TCP has the handle's token, and where it sends it. The token is never forwarded.

Every SDK puts its key where its service requires it: in a header of any name, after any word, as a parameter, as a
user or password, in its signature. So the token is searched for as a separate word anywhere in a request's head: it is
long and random, so whoever knows it was given it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
from collections.abc import Callable, Iterator
from urllib.parse import unquote_plus

from ..downstream import Downstream
from .heads import RequestHead

# A pair such as `user:token`, as in Basic authentication.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_STANDARD = str.maketrans("-_", "+/")


class HandleToken:
    """`is_it`: whether a word is the token, in constant time; `length` is not secret."""

    def __init__(self, is_it: Callable[[str], bool], length: int) -> None:
        self._is_it = is_it
        self._length = length
        # Tokens consist of the characters of RFC 4648 5; all others are separators.
        self._words = re.compile(rf"(?<![\w-])[\w-]{{{length}}}(?![\w-])", re.ASCII)

    def given_in(self, head: RequestHead) -> bool:
        """Whether it occurs in the head, except in the path, which is no place for credentials."""
        return any(self.stands_in(value) for _, value in head.headers) or self.stands_in(
            unquote_plus(head.target.partition("?")[2])
        )

    def stands_in(self, text: str) -> bool:
        """Whether it is one of the words of this text."""
        # Most headers are too short for it.
        return len(text) >= self._length and any(map(self._is_it, self._candidates(text)))

    def without(self, target: str) -> str:
        """A target without the parameters that contain it."""
        path, mark, query = target.partition("?")
        if not mark or not self.stands_in(unquote_plus(query)):
            return target
        kept = [part for part in query.split("&") if not self.stands_in(unquote_plus(part))]
        return f"{path}?{'&'.join(kept)}" if kept else path

    def _candidates(self, text: str) -> Iterator[str]:
        yield from self._words.findall(text)
        encoded = text.rpartition(" ")[2]
        if len(encoded) > self._length and _BASE64.fullmatch(encoded):
            with contextlib.suppress(binascii.Error):
                pair = base64.b64decode(encoded.translate(_STANDARD) + "=" * (-len(encoded) % 4))
                yield from self._words.findall(pair.decode("latin-1"))


def may_enter(downstream: Downstream, head: RequestHead, token: HandleToken) -> bool:
    """Always on the Unix socket, where the broker identifies the peer and nobody else can connect."""
    return not downstream.over_tcp or token.given_in(head)
