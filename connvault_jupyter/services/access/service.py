"""The one path by which a secret leaves: handle -> grant -> audit row, committed -> unseal -> deliver.

No other module answers with a secret, and nothing here answers before its row is committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

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
from ...contracts.providers import Mode
from ...errors import (
    AccessRequestChanged,
    ConnvaultError,
    HandleInvalid,
    NotAllowed,
    RevealForbidden,
    SecretMissing,
    StorageError,
)
from ..audit.service import AuditService
from ..audit.sightings import Sightings
from ..grants.ended import Ended
from ..grants.handle_limit import HandleLimit
from ..grants.revocation import Revocation
from ..grants.service import Subject
from ..grants.use_counter import UseCounter
from ..ports import (
    Clock,
    ConnectionStore,
    Lock,
    RunningRequesters,
    SealedSecret,
    Transactions,
    Wait,
)
from ..relay_ports import RelayOrder, Relays
from ..secrets.reader import SecretReader
from ..secrets.service import SecretsService
from .deliveries import hands_over, relay_of
from .refusal_log import Noting, RefusalLog
from .request import HandleRequests
from .resolve import HandleResolver, ResolvedHandle
from .resolve_cache import ResolveCache

_NO_RECIPE: Mapping[str, Any] = {}

_OTHERWISE: dict[Mode, str] = {
    "brokered": (
        "The broker logs in for this connection. Use one of its openers, or .reveal() for plain text."
    ),
    "in_clear": "This connection logs in inside the process that uses it, so it has no relay.",
    "reveal": "This connection gives plain text only. Use .reveal().",
}


class AccessService:
    """`request`, `reveal` and `open` wait and are called without the lock; the others with it."""

    def __init__(
        self,
        *,
        connections: ConnectionStore,
        resolver: HandleResolver,
        resolve_cache: ResolveCache,
        use_counter: UseCounter,
        handle_limit: HandleLimit,
        revocation: Revocation,
        secrets: SecretsService,
        reader: SecretReader,
        transactions: Transactions,
        audit: AuditService,
        running: RunningRequesters,
        requests: HandleRequests,
        refusal_log: RefusalLog,
        sightings: Sightings,
        relays: Relays,
        ended: Ended,
        clock: Clock,
        lock: Lock,
    ) -> None:
        self._connections = connections
        self._ended = ended
        self._resolver = resolver
        self._resolve_cache = resolve_cache
        self._use_counter = use_counter
        self._handle_limit = handle_limit
        self._revocation = revocation
        self._secrets = secrets
        self._reader = reader
        self._transactions = transactions
        self._audit = audit
        self._running = running
        self._requests = requests
        self._refusal_log = refusal_log
        self._sightings = sightings
        self._relays = relays
        self._clock = clock
        self._lock = lock

    def request(self, requester: Requester, request: AccessRequest, *, wait: Wait) -> AccessResponse:
        """A handle: at once where a stored grant fits, else when a person has said yes.

        Raises: see `HandleRequests.request`.
        """
        return self._requests.request(requester, request, wait=wait)

    def deliver(self, requester: Requester, use: HandleUse) -> Delivered:
        """The login that a handle stands for, in the clear.

        Raises: HandleInvalid, SecretMissing, SecretInvalid, ConnectionNotReady, VaultLocked, StorageError.
            NotAllowed: the handle is brokered, or gives plain text only.
        """
        opened, sealed = self._use(requester, use.ref, "access:used", mode="in_clear")
        return self._delivered(opened, sealed)

    def open(self, requester: Requester, use: OpenHandle) -> OpenedHandle:
        """Where a brokered handle listens for its requester. Nothing is unsealed yet.

        Raises: as `deliver`; NotAllowed: the handle is not brokered; BrokerUnavailable: no relay can be had.
        """
        with self._lock:
            opened, sealed = self._use(requester, use.ref, "access:checked", mode="brokered")
            if opened.stored is None:
                # A handle without a grant can only ask to reveal, which `mode` has told.
                raise HandleInvalid(reason="revoked")
            grant = opened.stored.grant
            delivery = relay_of(opened.destination.provider)
        fields = {**opened.destination.fields, **delivery.recipe}
        endpoint = self._relays.open(
            RelayOrder(
                ref=use.ref,
                requester=requester,
                connection_id=ConnectionId(opened.connection.id),
                grant_id=GrantId(grant.id),
                expires_at=grant.expires_at,
                protocol=delivery.protocol,
                fields=fields,
                tcp=use.tcp,
            )
        )
        return OpenedHandle(
            connection=opened.connection.name,
            provider_id=opened.connection.provider_id,
            protocol=delivery.protocol,
            directory=endpoint.directory,
            socket=endpoint.socket,
            hand_over=endpoint.hand_over and hands_over(delivery.protocol, fields),
            port=endpoint.port,
            token=endpoint.token,
            fields=fields,
            variables=delivery.variables_for(tcp=use.tcp),
            revision=opened.connection.revision,
            rotation=_rotation(sealed),
        )

    def login(self, requester: Requester, order: RelayOrder) -> Delivered:
        """What a relay logs in with, for the requester at the other end of one of its connections; recorded as a use.

        `fields` has the recipe. Raises: as `deliver`; NotAllowed: the handle is not brokered.
            HandleInvalid: also if it is another grant's now than the order's.
        """
        opened, sealed = self._use(
            requester, order.ref, "access:used", mode="brokered", grant_id=order.grant_id
        )
        return self._delivered(opened, sealed, relay_of(opened.destination.provider).recipe)

    def sighted(self, order: RelayOrder) -> None:
        """A relay has masked a secret in what a client of this handle got."""
        self._sightings.note(order)

    def has_ended(self, order: RelayOrder) -> bool:
        """Whether it is known without a look that what is open for this order has to be cut. Waits for nothing, and is
        called without the lock."""
        return self._ended.covers(order)

    def still_good(self, order: RelayOrder) -> bool:
        """Whether what a brokered handle has open under the order's grant may stay open. Records nothing.

        A lock ends it also while somebody keeps the database from being read; time and the run's end need no question.
        """
        if self._secrets.keys_if_unlocked is None:
            return False
        try:
            handle = self._resolver.handle(order.requester, order.ref, grant_id=order.grant_id).handle
            return handle.mode == "brokered"
        except ConnvaultError as refused:
            # A secret that is being replaced ends no session; everything else does.
            return isinstance(refused, SecretMissing | StorageError)

    def check(self, requester: Requester, use: HandleUse) -> HandleState:
        """That a handle is still good, and what tells a client to log in anew.

        Raises: as `deliver`; SecretInvalid only if that is known already, because nothing is unsealed.
        """
        opened, sealed = self._use(requester, use.ref, "access:checked")
        return HandleState(
            mode=opened.handle.mode,
            expires_at=opened.handle.expires_at,
            revision=opened.connection.revision,
            rotation=_rotation(sealed),
        )

    def reveal(self, requester: Requester, request: RevealRequest, *, wait: Wait) -> Delivered:
        """Plain text, after a person has said yes to exactly this; asked each time.

        Raises: HandleInvalid, RevealForbidden, and what `request` raises.
        """
        with self._lock, self._noting_use(requester, request.ref):
            opened = self._resolver.handle(requester, request.ref)
            if not self._requests.may_reveal(opened.connection, opened.destination):
                raise RevealForbidden
            subject = Subject(
                connection=opened.connection,
                destination=opened.destination,
                requester=self._running.current(requester),
                agent=opened.agent,
                mode="reveal",
            )
            self._requests.refuse_if_never(subject.connection, subject.requester)
            ticket = self._requests.ask(subject, request.reason, request.timeout_s)
        granted = self._requests.answer(ticket, wait)
        with self._lock:
            # Everything again: time has passed since the question was put.
            with self._noting_use(requester, request.ref), self._transactions.transaction():
                self._requests.refuse_if_never(granted.subject.connection, self._running.current(requester))
                opened = self._still_what_was_answered(requester, request.ref, opened, granted.subject)
                sealed = self._secrets.sealed.of(opened.connection.id)
                self._audit.record(
                    "access:revealed",
                    connection=opened.connection,
                    requester=granted.subject.requester,
                    agent=None if granted.subject.agent is None else granted.subject.agent.sealed,
                    mode="reveal",
                    decision=granted.decision,
                    reason=None if ticket.reason is None else ticket.reason.sealed,
                )
                self._connections.touch(opened.connection.id, self._clock())
            return self._delivered(opened, sealed)

    def release(self, requester: Requester, use: HandleUse) -> Released:
        """Lets go of a handle. Unknown and ended ones are let go of already. Raises: StorageError: see `revoke_own`."""
        with self._noting_use(requester, use.ref):
            try:
                return Released(released=int(self._revocation.release(use.ref, requester)))
            except HandleInvalid as invalid:
                if invalid.details.get("reason") == "foreign":
                    raise
                return Released(released=0)

    def revoke_own(self, requester: Requester, request: RevokeOwn) -> Released:
        """Gives back all that this requester may do with a connection.

        Raises: ConnectionNotFound. StorageError: it has ended, which could not be stored yet.
        """
        with self._refusal_log.noting(requester, lambda: self._resolver.named(request.connection)):
            connection = self._resolver.connection(request.connection)
        return Released(released=self._revocation.revoke_own(connection, self._running.current(requester)))

    def _use(
        self,
        requester: Requester,
        ref: str,
        kind: Literal["access:used", "access:checked"],
        mode: Mode | None = None,
        grant_id: GrantId | None = None,
    ) -> tuple[ResolvedHandle, Sequence[SealedSecret]]:
        # One transaction: a revoke in another server is before this use or after it, never in between.
        # The first use is synced; the syncs of repeated ones are grouped.
        with (
            self._noting_use(requester, ref),
            self._transactions.transaction(durable=not self._resolve_cache.has_seen(ref)),
        ):
            found = self._resolve_cache.of(ref, requester)
            if found is None:
                opened = self._resolver.handle(requester, ref, grant_id=grant_id)
                found = opened, self._secrets.sealed.of(opened.connection.id)
                self._resolve_cache.note(ref, requester, *found)
            opened, sealed = found
            if grant_id is not None and opened.handle.grant_id != grant_id:
                raise HandleInvalid(reason="revoked")
            if mode is not None and opened.handle.mode != mode:
                raise NotAllowed(_OTHERWISE[opened.handle.mode])
            stored = opened.stored
            if stored is None:
                return opened, sealed
            event = self._audit.record(
                kind,
                connection=opened.connection,
                requester=requester,
                grant=stored.grant,
                durable=False,
            )
        self._use_counter.note(stored.grant.id, opened.connection.id, event.at)
        self._handle_limit.note_use(ref, event.at)
        return opened, sealed

    def _noting_use(self, requester: Requester, ref: str) -> Noting:
        return self._refusal_log.noting(requester, lambda: self._resolver.meant(requester, ref))

    def _still_what_was_answered(
        self, requester: Requester, ref: str, asked: ResolvedHandle, answered: Subject
    ) -> ResolvedHandle:
        """The handle as it is now, if it is the one that was asked with and stands for what the person has seen.

        Handles have no MAC: an edited row must not lead a yes to another connection.
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

    def _delivered(
        self, opened: ResolvedHandle, sealed: Sequence[SealedSecret], recipe: Mapping[str, Any] = _NO_RECIPE
    ) -> Delivered:
        connection = opened.connection
        return Delivered.of(
            connection=connection.name,
            provider_id=connection.provider_id,
            fields={**opened.destination.fields, **recipe},
            secrets=self._reader.open(connection, sealed, opened.destination),
            revision=connection.revision,
            rotation=_rotation(sealed),
        )


def _rotation(sealed: Sequence[SealedSecret]) -> str:
    """Changes when a secret is set or removed. Refs are random and new each time."""
    text = "\0".join(sorted(f"{secret.field}={secret.ref}" for secret in sealed))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
