"""Finds the handles that an error is about: by a mark from our object that raised it, or by the address in its text.

Nothing else counts: an error of another connection, in the same cell or after the same revoke, is about none.
"""

from __future__ import annotations

import contextlib
import re
import weakref
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import unquote

from .handle_ref import HandleRef

_MARK = "_connvault_handle_ref"

# Limits on the errors in a chain and on the characters of each text: anything longer is not a message for people.
_MAX_ERRORS = 32
_MAX_CHARS = 10_000


def mark(error: BaseException, handle_ref: HandleRef | None) -> None:
    """Notes that this error was raised by something that the handle has opened. The first mark counts."""
    if handle_ref is not None and not hasattr(error, _MARK):
        # A few classes of errors don't accept attributes.
        with contextlib.suppress(AttributeError, TypeError):
            setattr(error, _MARK, weakref.ref(handle_ref))


def handle_refs_of(error: BaseException, known: Iterable[HandleRef]) -> list[HandleRef]:
    """The handles that this error, or one of its causes, is about."""
    found: list[HandleRef] = []
    said: list[str] = []
    for one in _chain(error):
        marked: weakref.ref[HandleRef] | None = getattr(one, _MARK, None)
        if marked is None:
            said += _said(one)
        elif (handle_ref := marked()) is not None and handle_ref not in found:
            found.append(handle_ref)
    text = "\n".join(said)
    return [*found, *(one for one in known if one not in found and _names(text, one.places))]


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[Any] = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MAX_ERRORS:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        # `exceptions`: PEP 654; `orig`: SQLAlchemy; `reason`: urllib3 and urllib.
        members = getattr(one, "exceptions", ())
        waiting += [*members] if isinstance(members, tuple | list) else []
        waiting += [getattr(one, "orig", None), getattr(one, "reason", None), one.__cause__]
        if not one.__suppress_context__:
            waiting.append(one.__context__)


def _said(error: BaseException) -> list[str]:
    """Its text, and what libraries store with it: an `OSError`'s path, httpx's and requests' request."""
    found = []
    for name in ("", "filename", "request.url"):
        # Properties of other people's objects may raise anything.
        with contextlib.suppress(Exception):
            value: Any = error
            for part in filter(None, name.split(".")):
                value = getattr(value, part)
            found.append(unquote(str(value)[:_MAX_CHARS]))
    return found


def _names(text: str, places: Iterable[str]) -> bool:
    return any(re.search(_pattern(place), text) for place in places)


def _pattern(place: str) -> str:
    host, colon, port = place.rpartition(":")
    if place.startswith("/") or not colon:
        return re.escape(place) + r"(?![\w-])"
    # "127.0.0.1:4711", "host='127.0.0.1', port=4711", "\"127.0.0.1\", port 4711", "('127.0.0.1', 4711)".
    return rf"(?<![\w.])(?:{re.escape(host)}|localhost)\W{{1,4}}(?:port\W{{0,2}})?{port}(?!\d)"
