"""The one path by which a secret leaves: handle -> grant -> audit row, committed -> unseal -> deliver.

No other module returns a secret, and nothing here returns one before its audit event is committed.
"""

from __future__ import annotations

from ...contracts.access import (
    AccessRequest,
    AccessResponse,
    Delivered,
    HandleState,
    HandleUse,
    OpenHandle,
    Released,
    Requester,
    RevealRequest,
    RevokeOwn,
)
from ...contracts.access import Opened as OpenedHandle
from ...contracts.contract import ConnectionId, GrantId
from ...errors import (
    AccessRequestChanged,
    ConnvaultError,
    HandleInvalid,
    RevealForbidden,
    SecretMissing,
    StorageError,
)
from ..connections.directory import Directory
from ..context import Context
from ..grants.permissions import Permissions
from ..grants.service import Subject
from ..ports import Wait
from ..relay_ports import RelayOrder, Relays
from .deliveries import hands_over, relay_of
from .request import HandleRequests
from .requesters import Requesters
from .resolve import HandleResolver, ResolvedHandle
from .use import HandleUses, rotation


class AccessService:
    """`request`, `reveal` and `open` wait and are called without the lock; the others with it."""

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        permissions: Permissions,
        requesters: Requesters,
        resolver: HandleResolver,
        uses: HandleUses,
        requests: HandleRequests,
        relays: Relays,
    ) -> None:
        self._connections = directory.documents
        self._ended = permissions.ended
        self._revocation = permissions.revocation
        self._running = requesters.running
        self._refusal_log = requesters.refusal_log
        self._resolver = resolver
        self._uses = uses
        self._requests = requests
        self._relays = relays
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._lock = context.lock

    def request(self, requester: Requester, request: AccessRequest, *, wait: Wait) -> AccessResponse:
        """A handle: at once if a stored grant matches, else when a person has said yes.

        Raises: see `HandleRequests.request`.
        """
        return self._requests.request(requester, request, wait=wait)

    def deliver(self, requester: Requester, use: HandleUse) -> Delivered:
        """The login of a handle, in the clear.

        Raises: HandleInvalid, SecretMissing, SecretInvalid, ConnectionNotReady, VaultLocked, StorageError.
            NotAllowed: the handle is brokered, or gives plain text only.
        """
        resolved, sealed = self._uses.use(requester, use.ref, "access:used", mode="in_clear")
        return self._uses.delivered(resolved, sealed)

    def open(self, requester: Requester, use: OpenHandle) -> OpenedHandle:
        """Where a brokered handle listens for its requester. Nothing is unsealed yet.

        Raises: as `deliver`; NotAllowed: the handle is not brokered; BrokerUnavailable: no relay can be started.
        """
        with self._lock:
            resolved, sealed = self._uses.use(requester, use.ref, "access:checked", mode="brokered")
            if resolved.stored is None:
                # A handle without a grant can only ask to reveal, and `mode` has ruled that out.
                raise HandleInvalid(reason="revoked")
            grant = resolved.stored.grant
            delivery = relay_of(resolved.destination.provider)
        fields = {**resolved.destination.fields, **delivery.recipe}
        endpoint = self._relays.open(
            RelayOrder(
                ref=use.ref,
                requester=requester,
                connection_id=ConnectionId(resolved.connection.id),
                grant_id=GrantId(grant.id),
                expires_at=grant.expires_at,
                protocol=delivery.protocol,
                fields=fields,
                tcp=use.tcp,
            )
        )
        return OpenedHandle(
            connection=resolved.connection.name,
            provider_id=resolved.connection.provider_id,
            protocol=delivery.protocol,
            directory=endpoint.directory,
            socket=endpoint.socket,
            hand_over=endpoint.hand_over and hands_over(delivery.protocol, fields),
            port=endpoint.port,
            token=endpoint.token,
            fields=fields,
            variables=delivery.variables_for(tcp=use.tcp),
            revision=resolved.connection.revision,
            rotation=rotation(sealed),
        )

    def login(self, requester: Requester, order: RelayOrder) -> Delivered:
        """What a relay logs in with, on behalf of the requester at the other end of one of its connections; logged as
        a use.

        `fields` has the recipe. Raises: as `deliver`; NotAllowed: the handle is not brokered.
            HandleInvalid: also if its grant is no longer the order's.
        """
        resolved, sealed = self._uses.use(
            requester, order.ref, "access:used", mode="brokered", grant_id=order.grant_id
        )
        return self._uses.delivered(resolved, sealed, relay_of(resolved.destination.provider).recipe)

    def has_ended(self, order: RelayOrder) -> bool:
        """Whether the open connections of this order must be cut, as far as memory tells. Never waits; called without
        the lock."""
        return self._ended.covers(order)

    def still_good(self, order: RelayOrder) -> bool:
        """Whether the connections that a brokered handle has opened under the order's grant may stay open. Logs
        nothing.

        Locking the vault ends them even while another process blocks the database.
        """
        if self._resolver.locked:
            return False
        try:
            handle = self._resolver.handle(order.requester, order.ref, grant_id=order.grant_id).handle
            return handle.mode == "brokered"
        except ConnvaultError as refused:
            # Replacing a secret ends no session; every other change does.
            return isinstance(refused, SecretMissing | StorageError)

    def check(self, requester: Requester, use: HandleUse) -> HandleState:
        """Whether a handle is still valid, and the value that tells a client to log in again.

        Raises: as `deliver`; SecretInvalid only if that is already known, as nothing is unsealed.
        """
        resolved, sealed = self._uses.use(requester, use.ref, "access:checked")
        return HandleState(
            mode=resolved.handle.mode,
            expires_at=resolved.handle.expires_at,
            revision=resolved.connection.revision,
            rotation=rotation(sealed),
        )

    def reveal(self, requester: Requester, request: RevealRequest, *, wait: Wait) -> Delivered:
        """Plain text, after a person has allowed exactly this; asked each time.

        Raises: HandleInvalid, RevealForbidden, and what `request` raises.
        """
        with self._lock, self._uses.noting(requester, request.ref):
            resolved = self._resolver.handle(requester, request.ref)
            if not self._requests.may_reveal(resolved.connection, resolved.destination):
                raise RevealForbidden
            subject = Subject(
                connection=resolved.connection,
                destination=resolved.destination,
                requester=self._running.current(requester),
                agent=resolved.agent,
                mode="reveal",
            )
            self._requests.refuse_if_never(subject.connection, subject.requester)
            ticket = self._requests.ask(subject, request.reason, request.timeout_s)
        granted = self._requests.answer(ticket, wait)
        with self._lock:
            # Check everything again: time has passed since the question was asked.
            with self._uses.noting(requester, request.ref), self._transactions.transaction():
                self._requests.refuse_if_never(granted.subject.connection, self._running.current(requester))
                resolved = self._still_what_was_answered(requester, request.ref, resolved, granted.subject)
                sealed = self._uses.sealed(resolved)
                self._audit.record(
                    "access:revealed",
                    connection=resolved.connection,
                    requester=granted.subject.requester,
                    agent=None if granted.subject.agent is None else granted.subject.agent.sealed,
                    mode="reveal",
                    decision=granted.decision,
                    reason=None if ticket.reason is None else ticket.reason.sealed,
                )
                self._connections.touch(resolved.connection.id, self._clock())
            return self._uses.delivered(resolved, sealed)

    def release(self, requester: Requester, use: HandleUse) -> Released:
        """Releases a handle; does nothing for an unknown or ended one. Raises: StorageError: see `revoke_own`."""
        with self._uses.noting(requester, use.ref):
            try:
                return Released(released=int(self._revocation.release(use.ref, requester)))
            except HandleInvalid as invalid:
                if invalid.details.get("reason") == "foreign":
                    raise
                return Released(released=0)

    def revoke_own(self, requester: Requester, request: RevokeOwn) -> Released:
        """Revokes all grants of this requester for a connection.

        Where names clash, those of all that the name could mean.

        Raises: ConnectionNotFound. StorageError: they have ended, but that could not be stored yet.
        """
        with self._refusal_log.noting(requester, lambda: self._resolver.named(requester, request.connection)):
            found = self._resolver.every(requester, request.connection) or [
                self._resolver.connection(requester, request.connection)
            ]
        current = self._running.current(requester)
        return Released(released=sum([self._revocation.revoke_own(one, current) for one in found]))

    def _still_what_was_answered(
        self, requester: Requester, ref: str, asked: ResolvedHandle, answered: Subject
    ) -> ResolvedHandle:
        """The handle as it is now, if it is the one with which code asked and still resolves to what the person has
        seen.

        Handles have no MAC: an edited row must not turn a yes into one for another connection.
        """
        now = self._resolver.handle(requester, ref)
        if now.handle != asked.handle:
            raise HandleInvalid(reason="revoked")
        seen = (answered.connection.id, answered.connection.revision, answered.destination.shown)
        if (now.connection.id, now.connection.revision, now.destination.shown) != seen:
            raise AccessRequestChanged
        if not self._requests.may_reveal(now.connection, now.destination):
            raise RevealForbidden
        return now
