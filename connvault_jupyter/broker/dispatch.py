"""Maps an operation's name to its service: parse, lock, call, answer. No rules here.

This is the only place that serialises a secret (`Delivered`, for requesters).
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any, TypeAlias

from pydantic import ValidationError

from ..contracts.access import Delivered, Requester
from ..contracts.contract import Contract, Empty
from ..contracts.frames import Json
from ..contracts.operation import Door, Operation
from ..contracts.operations import BY_DOOR, OPERATIONS
from ..contracts.problem import invalid_request
from ..errors import ConnvaultError, UnknownOperation
from ..services.access.service import AccessService
from ..services.audit.export import AuditExports
from ..services.audit.service import AuditService
from ..services.connections.proposals import ProposalsService
from ..services.connections.service import ConnectionsService
from ..services.connections.workspace_service import WorkspacesService
from ..services.consent.service import ConsentService
from ..services.ports import Lock, Unsealer, Wait
from ..services.secrets.service import SecretsService
from ..services.secrets.slot_service import SlotService
from ..services.transfer.exports import ConnectionExports
from ..services.transfer.imports import ConnectionImports
from ..services.visible_names import visible
from .operator_channel import refusal
from .sealed_requests import opened
from .supervision import Supervision

_MAX_ACTOR_CHARS = 200


@dataclass(frozen=True)
class Services:
    secrets: SecretsService
    slots: SlotService
    connections: ConnectionsService
    workspaces: WorkspacesService
    consent: ConsentService
    access: AccessService
    proposals: ProposalsService
    audit: AuditService
    exports: AuditExports
    connection_exports: ConnectionExports
    connection_imports: ConnectionImports
    supervision: Supervision
    unsealer: Unsealer


@dataclass(frozen=True)
class Asked:
    """One parsed request. `actor` is set for the operator, `requester` and `wait` for requesters."""

    body: Any
    actor: str
    requester: Any = None
    wait: Any = None


Perform: TypeAlias = Callable[[Asked], "Contract | None"]
Table: TypeAlias = Mapping[tuple[Door, str], Perform]


def table_of(services: Services) -> Table:
    """The function for each operation; a result of `None` becomes `Empty`."""
    secrets, connections, consent = services.secrets, services.connections, services.consent
    access, audit, supervision = services.access, services.audit, services.supervision
    proposals, exports = services.proposals, services.exports
    return {
        ("operator", "providers.list"): lambda _: connections.providers(),
        ("operator", "connections.list"): lambda _: connections.list(),
        ("operator", "connections.create"): lambda asked: connections.create(asked.body, actor=asked.actor),
        ("operator", "connections.get"): lambda asked: connections.get(asked.body),
        ("operator", "connections.update"): lambda asked: connections.update(asked.body, actor=asked.actor),
        ("operator", "connections.delete"): lambda asked: connections.delete(asked.body, actor=asked.actor),
        ("operator", "secrets.set"): lambda asked: connections.set_secret(asked.body, actor=asked.actor),
        ("operator", "secrets.delete"): lambda asked: connections.delete_secret(
            asked.body, actor=asked.actor
        ),
        ("operator", "connections.test"): lambda asked: connections.test(asked.body, actor=asked.actor),
        ("operator", "connections.uses"): lambda asked: connections.uses(asked.body),
        ("operator", "connections.export"): lambda asked: services.connection_exports.export(
            asked.body, actor=asked.actor
        ),
        ("operator", "connections.import_preview"): lambda asked: services.connection_imports.preview(
            asked.body
        ),
        ("operator", "connections.import"): lambda asked: services.connection_imports.take(
            asked.body, actor=asked.actor
        ),
        ("operator", "workspaces.list"): lambda asked: services.workspaces.list(asked.body),
        ("operator", "workspaces.accept"): lambda asked: services.workspaces.accept(
            asked.body, actor=asked.actor
        ),
        ("operator", "workspaces.forget"): lambda asked: services.workspaces.forget(
            asked.body, actor=asked.actor
        ),
        ("operator", "proposals.get"): lambda asked: proposals.get(asked.body),
        ("operator", "access_requests.list"): lambda _: consent.questions(),
        ("operator", "access_requests.decide"): lambda asked: consent.decide(asked.body, actor=asked.actor),
        ("operator", "grants.list"): lambda asked: consent.grants(asked.body),
        ("operator", "grants.revoke"): lambda asked: consent.revoke(asked.body, actor=asked.actor),
        ("operator", "audit.list"): lambda asked: audit.list(asked.body),
        ("operator", "audit.verify"): lambda _: audit.verify(),
        ("operator", "audit.export"): lambda asked: exports.part(asked.body),
        ("operator", "audit.head"): lambda _: exports.head(),
        ("operator", "audit.compare"): lambda asked: exports.compare(asked.body),
        ("operator", "vault.state"): lambda _: secrets.state(),
        ("operator", "vault.sealing_key"): lambda _: services.unsealer.key(),
        ("operator", "vault.setup"): lambda asked: secrets.set_up(asked.body, actor=asked.actor),
        ("operator", "vault.unlock"): lambda asked: secrets.unlock(asked.body, actor=asked.actor),
        ("operator", "vault.lock"): lambda asked: secrets.lock(actor=asked.actor),
        ("operator", "vault.passphrase"): lambda asked: secrets.change_passphrase(
            asked.body, actor=asked.actor
        ),
        ("operator", "slots.list"): lambda _: services.slots.list(),
        ("operator", "slots.add"): lambda asked: services.slots.add(asked.body, actor=asked.actor),
        ("operator", "slots.remove"): lambda asked: services.slots.remove(asked.body, actor=asked.actor),
        ("operator", "vault.rotate"): lambda asked: services.slots.rotate(asked.body, actor=asked.actor),
        ("operator", "supervision.kernels"): lambda asked: supervision.kernels(asked.body),
        ("operator", "supervision.approvers"): lambda asked: supervision.approvers(asked.body),
        ("operator", "supervision.activity_stream"): lambda asked: audit.streamed(asked.body),
        ("operator", "supervision.documents_gone"): lambda asked: supervision.documents_gone(asked.body),
        ("requester", "connections.list"): lambda asked: connections.summaries(asked.requester),
        ("requester", "providers.list"): lambda _: connections.provider_summaries(),
        ("requester", "connections.propose"): lambda asked: proposals.propose(asked.requester, asked.body),
        ("requester", "access.request"): lambda asked: access.request(
            asked.requester, asked.body, wait=asked.wait
        ),
        ("requester", "access.deliver"): lambda asked: access.deliver(asked.requester, asked.body),
        ("requester", "access.open"): lambda asked: access.open(asked.requester, asked.body),
        ("requester", "access.check"): lambda asked: access.check(asked.requester, asked.body),
        ("requester", "access.reveal"): lambda asked: access.reveal(
            asked.requester, asked.body, wait=asked.wait
        ),
        ("requester", "access.release"): lambda asked: access.release(asked.requester, asked.body),
        ("requester", "access.revoke_own"): lambda asked: access.revoke_own(asked.requester, asked.body),
        ("requester", "audit.list_own"): lambda asked: audit.own(asked.requester, asked.body),
    }


class Dispatch:
    """Answers requests from both channels; never raises.

    Raises:
        ValueError: (from the constructor) the functions do not match the table of operations.
    """

    def __init__(self, *, table: Table, unsealer: Unsealer, lock: Lock, log: logging.Logger) -> None:
        wanted = {(operation.door, operation.name) for operation in OPERATIONS}
        if table.keys() != wanted:
            raise ValueError(f"dispatch and the table of operations differ: {sorted(table.keys() ^ wanted)}")
        for operation in OPERATIONS:
            # Imported now, so that no first request waits for it, and a wrong name is detected here.
            _ = operation.request, operation.response
        self._table = table
        self._unsealer = unsealer
        self._lock = lock
        self._log = log

    def waits(self, operation: str) -> bool:
        """Whether this operator's operation needs its own thread."""
        found = BY_DOOR["operator"].get(operation)
        return found is not None and found.waits

    def for_operator(self, operation: str, body: Any, actor: str) -> dict[str, Any]:
        return self._answer("operator", operation, body, actor=visible(actor, limit=_MAX_ACTOR_CHARS))

    def for_requester(self, operation: str, body: Any, requester: Requester, wait: Wait) -> dict[str, Any]:
        return self._answer("requester", operation, body, requester=requester, wait=wait)

    def _answer(
        self,
        door: Door,
        name: str,
        body: Any,
        *,
        actor: str = "",
        requester: Requester | None = None,
        wait: Wait | None = None,
    ) -> dict[str, Any]:
        try:
            operation = BY_DOOR[door].get(name)
            if operation is None:
                raise UnknownOperation
            asked = Asked(_parse(operation, opened(operation, body, self._unsealer)), actor, requester, wait)
            with nullcontext() if operation.waits or operation.cuts else self._lock:
                answer = self._table[door, name](asked)
            return {"ok": True, "body": _written(answer)}
        except ConnvaultError as exc:
            return refusal(exc)
        except Exception as exc:  # noqa: BLE001 -- a mistake of ours must not end the connection or show a value
            self._log.error("operation %s failed: %s", name, _where(exc))
            return refusal(ConnvaultError())


def _parse(operation: Operation, body: Any) -> Contract:
    if operation.request is Empty and body == {}:
        return _EMPTY
    try:
        return operation.request.model_validate(body)
    except ValidationError as exc:
        raise invalid_request(exc) from None


_EMPTY = Empty()


def _written(answer: Contract | None) -> dict[str, Any] | Json:
    if answer is None:
        return {}
    if isinstance(answer, Delivered):
        secrets = {name: value.get_secret_value() for name, value in answer.secrets.items()}
        return {**answer.model_dump(mode="json"), "secrets": secrets}
    try:
        return Json(answer.model_dump_json())
    except ValueError:
        # A lone surrogate in a provider's texts: UTF-8 can't encode it, a JSON escape can.
        return answer.model_dump(mode="json")


def _where(error: BaseException) -> str:
    """Type and location of an exception; its text and values could hold a secret."""
    places = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} at " + " <- ".join(
        f"{place.name}:{place.lineno}" for place in reversed(places)
    )
