"""What kernels and scripts may ask."""

from __future__ import annotations

from functools import partial

from .operation import Operation

_requester = partial(Operation, "requester")

REQUESTER: tuple[Operation, ...] = (
    _requester(
        "connections.list", "contract.Empty", "connections.ConnectionSummaryList", "Names, kinds and states"
    ),
    _requester("providers.list", "contract.Empty", "providers.ProviderSummaryList", "Kinds of connection"),
    _requester(
        "connections.propose",
        "proposals.Propose",
        "proposals.Proposed",
        "Suggest values for the form of a new connection",
        writes=True,
    ),
    _requester(
        "access.request",
        "access.AccessRequest",
        "access.AccessResponse",
        "Ask to use a connection; answers when decided",
        waits=True,
        writes=True,
    ),
    _requester(
        "access.deliver",
        "access.HandleUse",
        "access.Delivered",
        "Resolve a handle that is in the clear, for a login",
        writes=True,
    ),
    _requester(
        "access.open",
        "access.OpenHandle",
        "access.Opened",
        "Where a brokered handle listens",
        # It may have to start a process.
        waits=True,
        writes=True,
    ),
    _requester(
        "access.check",
        "access.HandleUse",
        "access.HandleState",
        "Whether a handle is still valid",
        writes=True,
    ),
    _requester(
        "access.reveal",
        "access.RevealRequest",
        "access.Delivered",
        "Ask for plain text; answers when decided",
        waits=True,
        writes=True,
    ),
    _requester("access.release", "access.HandleUse", "access.Released", "Release a handle", writes=True),
    _requester(
        "access.revoke_own",
        "access.RevokeOwn",
        "access.Released",
        "Revoke all grants of this requester",
        writes=True,
    ),
    _requester(
        "audit.list_own", "audit.OwnAuditFilter", "audit.AuditPage", "This requester's own audit events"
    ),
)
