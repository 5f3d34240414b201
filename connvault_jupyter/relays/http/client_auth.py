"""Whether a client on TCP has the handle's token, and where it gives it. It goes no further.

Every SDK puts its key where its service wants it: in a header of any name, after a word of any kind, as a parameter, as
a user or a password, in what it signs. So it is looked for as a word of its own wherever a request's head has words:
it is random and long, and whoever knows it was given it.
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

# A pair such as `user:token`, as Basic and its relatives send it.
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_STANDARD = str.maketrans("-_", "+/")


class HandleToken:
    """`is_it` tells whether a word is the token, in a time that says nothing of it; `length` is no secret."""

    def __init__(self, is_it: Callable[[str], bool], length: int) -> None:
        self._is_it = is_it
        self._length = length
        # RFC 4648 5 is what tokens are made of; all else separates.
        self._words = re.compile(rf"(?<![\w-])[\w-]{{{length}}}(?![\w-])", re.ASCII)

    def given_in(self, head: RequestHead) -> bool:
        """Whether it stands in the head, but for the path: no credential's place is there."""
        return any(self.stands_in(value) for _, value in head.headers) or self.stands_in(
            unquote_plus(head.target.partition("?")[2])
        )

    def stands_in(self, text: str) -> bool:
        """Whether it is one of the words of this text."""
        # Most headers have no room for it.
        return len(text) >= self._length and any(map(self._is_it, self._candidates(text)))

    def without(self, target: str) -> str:
        """A target without the parameters that have it."""
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
    """On the Unix socket always: there the broker sees who connects, and nobody else reaches it."""
    return not downstream.over_tcp or token.given_in(head)
