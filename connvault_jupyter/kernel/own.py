"""What a requester may do for itself: look up kinds and its own record, give its grants back, suggest a connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidFields
from . import responses
from .api import broker


def providers() -> tuple[responses.Provider, ...]:
    """All kinds of connections. Raises: BrokerUnavailable."""
    return responses.providers(broker().ask("providers.list", {}))


def record(name: str | None = None, *, limit: int = 50) -> tuple[responses.Event, ...]:
    """This notebook's own rows of the record, newest first; of one connection if `name` is given.

    Raises: ConnectionNotFound, BrokerUnavailable.
    """
    return responses.events(broker().ask("audit.list_own", {"connection": name, "limit": limit}))


def revoke(name: str) -> int:
    """Gives back every permission that this notebook has for a connection; how many there were.

    Raises: ConnectionNotFound, BrokerUnavailable.
    """
    return int(broker().ask("access.revoke_own", {"connection": name}).get("released", 0))


def propose(*, provider: str = "", name: str = "", fields: Mapping[str, Any] | None = None) -> str:
    """Suggests values for the form of a new connection; the suggestion's id, which says nothing of them.

    A person sees them as suggested by this notebook, completes and saves them, or does not. It is kept for ten minutes
    and while this process runs. What is empty is left to the person.

    Raises:
        SecretInCode: a value is a secret, or looks like one.
        ProviderNotFound, InvalidFields: the kind, or a field of it, does not exist or can't have this value.
        InvalidRequest: a name or value that no connection can have.
        TooManyProposals: of this notebook in the last ten minutes.
        BrokerUnavailable.
    """
    body = {"provider_id": provider or None, "name": name or None, "fields": dict(fields or {})}
    try:
        return responses.proposed(broker().ask("connections.propose", body))
    except InvalidFields as exc:
        # In a cell there is no field beside which its message could stand.
        said = [f"{path}: {message}" for path, message in _messages(exc)]
        raise InvalidFields(" ".join(said) or exc.message, **exc.details) from None


def _messages(error: InvalidFields) -> list[tuple[str, str]]:
    """The broker's own words about each field; they quote nothing."""
    return [
        (str(item["path"]).removeprefix("fields."), str(item["message"]).rstrip(".") + ".")
        for item in error.details.get("errors", ())
    ]
