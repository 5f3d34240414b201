"""A connection to measure with, at a broker without any server. The destination is made up; nobody logs in there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.operator import Operator, Rule, allow_session, operated_broker

NAME = "warehouse"
SECRETS = {"password": "a made-up password"}


def fields(host: str = "db.example.com") -> dict[str, Any]:
    return {"host": host, "port": 5432, "database": "sales", "user": "reader", "sslmode": "require"}


@contextmanager
def broker_with_connection(home: Path, *, rule: Rule = allow_session) -> Iterator[tuple[Operator, str]]:
    """A real broker process with a passphrase vault and one ready connection; its operator and its socket's path."""
    with operated_broker(home, rule=rule) as (operator, socket_path):
        operator.create(NAME, IN_CLEAR, fields(), SECRETS)
        yield operator, socket_path
