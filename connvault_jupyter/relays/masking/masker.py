"""Masks what was sent to a service in what it sends back, length for length. Which secrets that are is the caller's.

This is against accidents: a debug page, a log, an error that quotes the request. It does not hold against code that
works with the service, which can have a secret encrypted, reversed, or sent in parts. What it must not do is tell such
code anything: what it does, and how long it takes, depends on a secret only where the whole of it is there, and a
secret that could be guessed is not masked (`services.guessability`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...services.secrets.guessability import MIN_CHARS, maskable
from .normal_form import forms
from .search import Search
from .spellings import patterns, read_patterns

# Equal length keeps every count in the stream true: Content-Length, a bulk string's, a frame's. Line ends stay, and
# what makes UTF-16 of ASCII.
_STARS = bytes(byte if byte in b"\0\r\n" else ord("*") for byte in range(256))


class Masker:
    """`sighted` is called when a secret was there, before the masked content is given back; `sights` counts them."""

    def __init__(self, secrets: Iterable[str], *, sighted: Callable[[], None] | None = None) -> None:
        self._secrets = frozenset(secret for secret in secrets if maskable(secret))
        self._sighted = sighted
        # Of each form; not before it is needed: most answers are shorter, or have only one.
        self._searches: list[Search] = []
        self.sights = 0

    def __bool__(self) -> bool:
        """Whether it would mask anything."""
        return bool(self._secrets)

    def whole(self, data: bytes) -> bytes:
        """A piece that is complete in itself, masked."""
        # No spelling of a secret is shorter than the shortest secret.
        if not self._secrets or len(data) < MIN_CHARS:
            return data
        spans = [
            form.raw(start, end)
            for number, form in enumerate(forms(data))
            for start, end in self._search(number).spans(form.data)
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

    def _search(self, number: int) -> Search:
        for made in (patterns, read_patterns)[len(self._searches) : number + 1]:
            self._searches.append(Search(pattern for secret in self._secrets for pattern in made(secret)))
        return self._searches[number]
