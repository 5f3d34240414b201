"""Masks what was sent to a service in what it sends back, length for length. Which secrets that are is the caller's.

This is against accidents: a debug page, a log, an error that quotes the request. It does not hold against code that
works with the service, which can have a secret encrypted, reversed, or sent in parts. What it must not do is tell such
code anything: what it does, and how long it takes, depends on a secret only where the whole of it is there, and a
secret that could be guessed is not masked (`services.guessability`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import chain

from ...services.guessability import MIN_CHARS, maskable
from .normal_form import forms
from .search import Search
from .spellings import patterns

# Equal length keeps every count in the stream true: Content-Length, a bulk string's, a frame's. Line ends stay, and
# what makes UTF-16 of ASCII.
_STARS = bytes(byte if byte in b"\0\r\n" else ord("*") for byte in range(256))


class Masker:
    """`sighted` is called when a secret was there, before the masked content is given back; `sights` counts them."""

    def __init__(self, secrets: Iterable[str], *, sighted: Callable[[], None] | None = None) -> None:
        self._secrets = frozenset(secret for secret in secrets if maskable(secret))
        self._sighted = sighted
        self._searches: tuple[Search, Search] | None = None
        self.sights = 0

    def __bool__(self) -> bool:
        """Whether it would mask anything."""
        return bool(self._secrets)

    def whole(self, data: bytes) -> bytes:
        """A piece that is complete in itself, masked."""
        # No spelling of a secret is shorter than the shortest secret.
        if not self._secrets or len(data) < MIN_CHARS:
            return data
        if self._searches is None:
            # Not before it is needed: most answers are shorter.
            plain, read = zip(*map(patterns, self._secrets), strict=True)
            self._searches = Search(chain(*plain)), Search(chain(*read))
        spans = [
            form.raw(start, end)
            for form, search in zip(forms(data), self._searches, strict=False)
            for start, end in search.spans(form.data)
        ]
        if not spans:
            return data
        self.sights += 1
        if self._sighted is not None:
            self._sighted()
        masked = bytearray(data)
        for start, end in spans:
            masked[start:end] = masked[start:end].translate(_STARS)
        return bytes(masked)
