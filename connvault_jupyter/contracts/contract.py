"""What all wire models share: frozen, closed, never quoting input. Nothing else belongs here.

Contracts are append-only within `API_VERSION`: a field may be added with a default, none is renamed, removed or
given another meaning.
"""

from __future__ import annotations

from typing import Annotated, Literal, NewType

from pydantic import AwareDatetime, BaseModel, ConfigDict, StringConstraints

API_VERSION = 1

ConnectionId = NewType("ConnectionId", str)
SecretRef = NewType("SecretRef", str)
GrantId = NewType("GrantId", str)
AccessRequestId = NewType("AccessRequestId", str)
HandleRef = NewType("HandleRef", str)

Timestamp = AwareDatetime

# We generate ids from URL-safe characters; 64 leaves room for longer ones.
Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]

# A name is typed into code and shown in questions: letters of any script would allow look-alikes.
ConnectionName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]

ProviderId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,47}$")]

FieldName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]

# Long enough for a sentence, short enough for a dialog and an audit event.
Claim = Annotated[str, StringConstraints(max_length=200)]

# A requester's claim as stored: "<generation of the key>.<envelope>" and "<generation>.<keyed hash>".
# The longest envelope, of a reason, has 1,110 characters.
SealedClaim = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}\.[A-Za-z0-9_-]{1,1200}$")]
ClaimMark = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}\.[0-9a-f]{64}$")]

# Why a claim exists but is not shown: the vault is locked, or the stored claim can't be unsealed.
Hidden = Literal["locked", "unreadable"]

FieldValue = str | int | float | bool | None


class Contract(BaseModel):
    """Base of all wire models: frozen, unknown names refused, input never quoted in an error."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        hide_input_in_errors=True,
        # A wrong type is the sender's mistake; never coerce it.
        strict=True,
        ser_json_bytes="base64",
        regex_engine="rust-regex",
    )


class Empty(Contract):
    """An empty request or response."""


__all__ = [
    "API_VERSION",
    "AccessRequestId",
    "Claim",
    "ClaimMark",
    "ConnectionId",
    "ConnectionName",
    "Contract",
    "Empty",
    "FieldName",
    "FieldValue",
    "GrantId",
    "HandleRef",
    "Hidden",
    "Id",
    "ProviderId",
    "SealedClaim",
    "SecretRef",
    "Timestamp",
]
