"""What code would like to have connected, for a person to complete: a kind, a name, plain fields. No secret fits in."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from .access import Requester
from .contract import ConnectionName, Contract, FieldName, ProviderId, Timestamp

# 256 bits: who has not made a proposal can't name it. In a link, the word before them tells it from a connection's id.
ProposalId = Annotated[str, StringConstraints(pattern=r"^proposal-[A-Za-z0-9_-]{43}$")]

# A chain of certificates fits.
ProposedValue = Annotated[str, StringConstraints(max_length=8192)] | int | float | bool


class Propose(Contract):
    """A requester's suggestion for the form of a new connection. Fields belong to a kind, so they need one."""

    provider_id: ProviderId | None = None
    name: ConnectionName | None = None
    fields: Annotated[dict[FieldName, ProposedValue], Field(max_length=32)] = {}


class Proposed(Contract):
    """Only the id goes on from here: into an output, a link, a card."""

    id: ProposalId
    expires_at: Timestamp


class ProposalRef(Contract):
    id: ProposalId


class Proposal(Contract):
    """What a person is shown, with who has suggested it (found out, not told). Nothing has been connected by it."""

    id: ProposalId
    provider_id: ProviderId | None
    name: ConnectionName | None
    fields: dict[FieldName, ProposedValue]
    requester: Requester
    proposed_at: Timestamp
    expires_at: Timestamp
