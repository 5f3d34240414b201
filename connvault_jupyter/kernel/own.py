"""What a requester may look up and give back for itself: kinds of connections, its own record, its own grants."""

from __future__ import annotations

from . import answers
from .api import broker


def providers() -> tuple[answers.Provider, ...]:
    """All kinds of connections. Raises: BrokerUnavailable."""
    return answers.providers(broker().ask("providers.list", {}))


def record(name: str | None = None, *, limit: int = 50) -> tuple[answers.Event, ...]:
    """This notebook's own rows of the record, newest first; of one connection if `name` is given.

    Raises: ConnectionNotFound, BrokerUnavailable.
    """
    return answers.events(broker().ask("audit.list_own", {"connection": name, "limit": limit}))


def revoke(name: str) -> int:
    """Gives back every permission that this notebook has for a connection; how many there were.

    Raises: ConnectionNotFound, BrokerUnavailable.
    """
    return int(broker().ask("access.revoke_own", {"connection": name}).get("released", 0))
