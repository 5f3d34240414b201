"""The one table of operations. Dispatch, REST routes, openapi.json, TypeScript types and tests are made from it.

Adding an operation is one entry here plus one function in the broker's dispatch. No behaviour belongs here.

Contracts are given by name and imported when first needed: a server creates its routes while starting, and pydantic
with all contracts would be most of what the extension adds to that time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .contract import Contract

Door = Literal["operator", "requester"]
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

REST_PREFIX = "/connvault/api/v1"


@dataclass(frozen=True)
class Http:
    """The operation's HTTP route. `{name}` placeholders in `path` are fields of the request contract; so are query
    arguments (GET) or the JSON body. `if_match`: the If-Match header supplies the field `revision`."""

    method: Method
    path: str
    success: int = 200
    if_match: bool = False


@dataclass(frozen=True)
class Operation:
    """One operation of the broker.

    `asks` and `answers` name the contracts of request and response (`vault.VaultState`).
    `waits`: it may take long (a person, a key derivation, another server), so dispatch must not hold its lock.
    `writes`: it changes something (the authorisation action is `write`, else `read`).
    `cuts`: it cuts open connections before it takes the lock itself, whose holder may be waiting for the database.
    `sealable`: it may contain a secret typed by a person, so it may come sealed to the broker (`sealed.Sealed`).
    """

    door: Door
    name: str
    asks: str
    answers: str
    summary: str
    http: Http | None = None
    waits: bool = False
    writes: bool = False
    cuts: bool = False
    sealable: bool = False

    @property
    def request(self) -> type[Contract]:
        return _contract(self.asks)

    @property
    def response(self) -> type[Contract]:
        return _contract(self.answers)


@cache
def _contract(name: str) -> type[Contract]:
    module, _, model = name.partition(".")
    found: type[Contract] = getattr(import_module(f".{module}", __package__), model)
    return found


_operator, _requester = partial(Operation, "operator"), partial(Operation, "requester")

_OPERATOR = (
    _operator(
        "providers.list",
        "contract.Empty",
        "providers.ProviderList",
        "All kinds of connection",
        Http("GET", "/providers"),
    ),
    _operator(
        "connections.list",
        "contract.Empty",
        "connections.ConnectionList",
        "All connections",
        Http("GET", "/connections"),
    ),
    _operator(
        "connections.create",
        "connections.CreateConnection",
        "connections.ConnectionView",
        "Create a connection",
        Http("POST", "/connections", success=201),
        writes=True,
        sealable=True,
    ),
    _operator(
        "connections.get",
        "connections.ConnectionRef",
        "connections.ConnectionView",
        "One connection",
        Http("GET", "/connections/{id}"),
    ),
    _operator(
        "connections.update",
        "connections.UpdateConnection",
        "connections.ConnectionView",
        "Change a connection",
        Http("PATCH", "/connections/{id}", if_match=True),
        writes=True,
        sealable=True,
    ),
    _operator(
        "connections.delete",
        "connections.DeleteConnection",
        "contract.Empty",
        "Delete a connection, its secrets and its grants",
        Http("DELETE", "/connections/{id}", success=204, if_match=True),
        writes=True,
    ),
    _operator(
        "secrets.set",
        "connections.SetSecret",
        "connections.ConnectionView",
        "Set or replace a secret",
        Http("PUT", "/connections/{id}/secrets/{field}"),
        writes=True,
        sealable=True,
    ),
    _operator(
        "secrets.delete",
        "connections.DeleteSecret",
        "connections.ConnectionView",
        "Remove a secret",
        Http("DELETE", "/connections/{id}/secrets/{field}"),
        writes=True,
    ),
    _operator(
        "connections.test",
        "connections.ConnectionRef",
        "connections.TestOutcome",
        "Log in once at the stored destination",
        Http("POST", "/connections/{id}/test"),
        waits=True,
        writes=True,
    ),
    _operator(
        "connections.uses",
        "connections.ConnectionRef",
        "audit.UseDays",
        "Uses in the last 14 days, by day",
        Http("GET", "/connections/{id}/uses"),
    ),
    _operator(
        "proposals.get",
        "proposals.ProposalRef",
        "proposals.Proposal",
        "A suggestion for a new connection, made by code",
        Http("GET", "/proposals/{id}"),
    ),
    _operator(
        "access_requests.list",
        "contract.Empty",
        "access.QuestionList",
        "The access requests that wait for an answer",
        Http("GET", "/access-requests"),
    ),
    _operator(
        "access_requests.decide",
        "access.Decide",
        "access.Decided",
        "Answer a question",
        Http("POST", "/access-requests/{id}/decision"),
        writes=True,
    ),
    _operator(
        "grants.list",
        "access.GrantFilter",
        "access.GrantList",
        "The grants: who may use what",
        Http("GET", "/grants"),
    ),
    _operator(
        "grants.revoke",
        "access.GrantRef",
        "contract.Empty",
        "Revoke a grant, or undo a 'never'",
        Http("DELETE", "/grants/{id}", success=204),
        writes=True,
        cuts=True,
    ),
    _operator(
        "audit.list",
        "audit.AuditFilter",
        "audit.AuditPage",
        "The audit events, newest first",
        Http("GET", "/audit"),
    ),
    _operator(
        "audit.verify",
        "contract.Empty",
        "audit.AuditVerification",
        "Whether the audit events are consistent",
        Http("GET", "/audit/verification"),
        waits=True,
    ),
    _operator(
        "audit.export",
        "audit.ExportAudit",
        "audit.ExportedAudit",
        "A part of the audit events as a file, in several answers",
        Http("GET", "/audit/export"),
        # It takes the lock for a few rows at a time.
        waits=True,
    ),
    _operator(
        "audit.head",
        "contract.Empty",
        "audit.AuditHead",
        "The end of the audit events, to be kept elsewhere",
        Http("GET", "/audit/head"),
    ),
    _operator(
        "audit.compare",
        "audit.CompareAudit",
        "audit.ComparedAudit",
        "Compare audit events kept elsewhere with the keys and the log",
        Http("POST", "/audit/comparison"),
        waits=True,
    ),
    _operator(
        "vault.state",
        "contract.Empty",
        "vault.VaultState",
        "The vault",
        Http("GET", "/vault"),
        # It checks whether the OS keyring is available.
        waits=True,
    ),
    _operator(
        "vault.sealing_key",
        "contract.Empty",
        "sealed.SealingKey",
        "The key to which a page seals what a person types",
        Http("GET", "/vault/sealing-key"),
    ),
    _operator(
        "vault.setup",
        "vault.SetUpVault",
        "vault.VaultState",
        "Create the master key",
        Http("POST", "/vault/setup"),
        waits=True,
        writes=True,
        sealable=True,
    ),
    _operator(
        "vault.unlock",
        "vault.UnlockVault",
        "vault.VaultState",
        "Unlock the vault",
        Http("POST", "/vault/unlock"),
        waits=True,
        writes=True,
        sealable=True,
    ),
    _operator(
        "vault.lock",
        "contract.Empty",
        "vault.VaultState",
        "Lock the vault",
        Http("POST", "/vault/lock"),
        writes=True,
        cuts=True,
    ),
    _operator(
        "vault.passphrase",
        "vault.ChangePassphrase",
        "vault.VaultState",
        "Change the passphrase",
        Http("POST", "/vault/passphrase"),
        waits=True,
        writes=True,
        sealable=True,
    ),
    _operator(
        "slots.list",
        "contract.Empty",
        "vault.SlotList",
        "The key slots: what opens the vault",
        Http("GET", "/vault/slots"),
    ),
    _operator(
        "slots.add",
        "vault.AddSlot",
        "vault.SlotList",
        "Add a key slot",
        Http("POST", "/vault/slots", success=201),
        waits=True,
        writes=True,
        sealable=True,
    ),
    _operator(
        "slots.remove",
        "vault.RemoveSlot",
        "vault.SlotList",
        "Remove a key slot, and make another master key",
        # Not DELETE: it has a body, with the proof.
        Http("POST", "/vault/slots/{id}/removal"),
        waits=True,
        writes=True,
        sealable=True,
    ),
    _operator(
        "vault.rotate",
        "vault.RotateKeys",
        "vault.SlotList",
        "Make another master key for the same slots",
        Http("POST", "/vault/rotation"),
        waits=True,
        writes=True,
        sealable=True,
    ),
    _operator(
        "supervision.kernels", "supervision.KernelTable", "contract.Empty", "Which kernels run", writes=True
    ),
    _operator(
        "supervision.approvers",
        "supervision.ApproverCount",
        "contract.Empty",
        "How many tabs are open",
        writes=True,
    ),
    _operator(
        "supervision.activity_stream",
        "audit.StreamState",
        "contract.Empty",
        "How the stream of the activity log is",
        writes=True,
    ),
    _operator(
        "supervision.documents_gone",
        "supervision.DocumentsGone",
        "contract.Empty",
        "Documents were removed",
        writes=True,
    ),
)

_REQUESTER = (
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

OPERATIONS: tuple[Operation, ...] = _OPERATOR + _REQUESTER

BY_DOOR: dict[Door, dict[str, Operation]] = {
    "operator": {operation.name: operation for operation in _OPERATOR},
    "requester": {operation.name: operation for operation in _REQUESTER},
}


def routed() -> Iterator[tuple[Operation, Http]]:
    """The operations that have an HTTP route, in the order of the table."""
    for operation in OPERATIONS:
        if operation.http is not None:
            yield operation, operation.http
