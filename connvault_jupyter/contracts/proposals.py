"""Suggestions by code for a new connection, for a person to complete: a kind, a name, plain fields. They can't hold a
secret."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from .access import Requester
from .contract import ConnectionName, Contract, FieldName, ProviderId, Timestamp

# 256 bits, so only its author can name a proposal. In a link, the word before them distinguishes it from a
# connection's id.
ProposalId = Annotated[str, StringConstraints(pattern=r"^proposal-[A-Za-z0-9_-]{43}$")]

# Enough for a chain of certificates.
ProposedValue = Annotated[str, StringConstraints(max_length=8192)] | int | float | bool


class Propose(Contract):
    """A requester's suggestion for the form of a new connection. Fields need a kind."""

    provider_id: ProviderId | None = None
    name: ConnectionName | None = None
    fields: Annotated[dict[FieldName, ProposedValue], Field(max_length=32)] = {}


class Proposed(Contract):
    """Only the id is passed on: into an output, a link, a card."""

    id: ProposalId
    expires_at: Timestamp


class ProposalRef(Contract):
    id: ProposalId


class Proposal(Contract):
    """What a person is shown, with the requester as identified by the broker. It connects nothing."""

    id: ProposalId
    provider_id: ProviderId | None
    name: ConnectionName | None
    fields: dict[FieldName, ProposedValue]
    requester: Requester
    proposed_at: Timestamp
    expires_at: Timestamp
