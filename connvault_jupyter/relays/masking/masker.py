"""Masks secrets in what a service sends back, keeping the length. The caller chooses the secrets.

This prevents accidents: a debug page, a log, an error that quotes the request. It can't stop code that cooperates with
the service, which can return a secret encrypted, reversed, or in parts. It must not reveal anything to such code: its
effect and duration depend on a secret only where the whole secret occurs, and a secret that could be guessed is not
masked (`services.secrets.guessability`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ...services.secrets.guessability import MIN_CHARS, maskable
from .normal_form import forms
from .search import Search
from .spellings import patterns, read_patterns

# Equal length keeps every count in the stream correct: Content-Length, bulk strings, frames. Line ends stay, and so do
# the zero bytes of UTF-16.
_STARS = bytes(byte if byte in b"\0\r\n" else ord("*") for byte in range(256))


class Masker:
    """`sighted` is called when a secret was found, before the masked content is returned; `sights` counts them."""

    def __init__(self, secrets: Iterable[str], *, sighted: Callable[[], None] | None = None) -> None:
        self._secrets = frozenset(secret for secret in secrets if maskable(secret))
        self._sighted = sighted
        # One per form, created when needed: most answers are shorter, or have only one form.
        self._searches: list[Search] = []
        self.sights = 0

    def __bool__(self) -> bool:
        """Whether it would mask anything."""
        return bool(self._secrets)

    def whole(self, data: bytes) -> bytes:
        """Masks a piece that is complete in itself."""
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
