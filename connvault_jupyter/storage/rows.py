"""Converts values to and from the database, and handles rows that can't be parsed. No SQL here."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, TypeVar

from pydantic import BaseModel

from ..errors import StorageError
from .database import Row

T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_MICROSECOND = timedelta(microseconds=1)

# Whoever edits rows chooses their ids; no more than the length of our longest is logged.
_LOGGED_ID_CHARS = 64

# Exceptions that parsers raise; pydantic's ValidationError is a ValueError.
_UNREADABLE = (ValueError, TypeError, LookupError, OverflowError, RecursionError)

_log = logging.getLogger(__name__)


def microseconds(instant: datetime) -> int:
    """Since 1970-01-01 UTC. Exact. `instant` is aware."""
    return (instant - _EPOCH) // _MICROSECOND


def instant(value: Any) -> datetime:
    """Raises: TypeError, OverflowError: it is not an instant."""
    return _EPOCH + timedelta(microseconds=value)


def microseconds_or_none(value: datetime | None) -> int | None:
    return None if value is None else microseconds(value)


def instant_or_none(value: Any) -> datetime | None:
    return None if value is None else instant(value)


def canonical(contract: BaseModel) -> str:
    """JSON with sorted names and no spaces: equal contracts give equal texts."""
    return canonical_json(contract.model_dump(mode="json"))


def canonical_json(value: Any) -> str:
    """Raises: TypeError, ValueError: JSON can't represent this."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def agree(*pairs: tuple[Any, Any]) -> None:
    """Raises: ValueError: a column differs from its document, so the row was edited."""
    for column, documented in pairs:
        if column != documented:
            raise ValueError("column and document differ")


def read_one(parse: Callable[[Row], T], row: Row | None, table: str) -> T | None:
    """Raises: StorageError: the row can't be parsed."""
    if row is None:
        return None
    try:
        return parse(row)
    # No cause: unparsable data must not be logged.
    except _UNREADABLE:
        raise StorageError(
            f"A row of the table {table} can't be read. Restore it from a backup or remove it."
        ) from None


def read_all(parse: Callable[[Row], T], rows: Iterable[Row], table: str) -> list[T]:
    """The rows that can be parsed; every other row is left out and logged by its id, so that it does not fail the
    whole list.

    The first column is the row's id.
    """
    found: list[T] = []
    for row in rows:
        try:
            found.append(parse(row))
        except _UNREADABLE:
            _log.warning("row %.*r of %s can't be read and is skipped", _LOGGED_ID_CHARS, row[0], table)
    return found
