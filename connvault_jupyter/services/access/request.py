"""How a handle is obtained: by a stored permission or by asking a person. No secret leaves here; that is up to
`service`."""

from __future__ import annotations

from datetime import datetime

from ...contracts.access import (
    AccessRequest,
    AccessResponse,
    DecisionKind,
    Grant,
    Requester,
)
from ...contracts.connections import Connection
from ...contracts.contract import HandleRef
from ...errors import ConnvaultError, ConsentInterrupted, ConsentWithdrawn, NotAllowed
from ..connections.destinations import Destination
from ..consent.question import Granted, Ticket
from ..consent.service import ConsentService
from ..context import Context
from ..grants.permissions import Permissions
from ..grants.service import Subject
from ..ports import Wait
from ..relay_ports import Relays
from ..requester_claims import Claim
from ..secrets.service import SecretsService
from .deliveries import delivery_of, mode_of
from .refusal_log import said_never
from .requesters import Requesters
from .resolve import HandleResolver


class HandleRequests:
    """`request` and `answer` wait and are called without the lock; the others with it."""

    def __init__(
        self,
        *,
        context: Context,
        permissions: Permissions,
        requesters: Requesters,
        resolver: HandleResolver,
        consent: ConsentService,
        secrets: SecretsService,
        relays: Relays,
    ) -> None:
        self._resolver = resolver
        self._grants = permissions.grants
        self._handles = permissions.handles
        self._handle_limit = permissions.handle_limit
        self._consent = consent
        self._secrets = secrets
        self._claims = requesters.claims
        self._refusal_log = requesters.refusal_log
        self._running = requesters.running
        self._relays = relays
        self._transactions = context.transactions
        self._audit = context.audit
        self._lock = context.lock
        self._reveal_allowed = context.settings.reveal_allowed

    def request(self, requester: Requester, request: AccessRequest, *, wait: Wait) -> AccessResponse:
        """A handle: at once if a stored grant matches, else when a person has said yes.

        A stored no is checked first and needs no key: it counts for every claim. No secret is read before a question
        is admitted (`OpenQuestions.put`), and none influences a decision.

        Raises: NotAllowed: the requester's run has ended.
            ConnectionNotFound, NameClash, WorkspaceNotAccepted, WorkspaceFileInvalid, SecretMissing, SecretInvalid,
            ConnectionNotReady, VaultLocked, VaultNotSetUp, AccessDenied, TooManyQuestions, TooManyHandles,
            ConsentTimeout, ConsentWithdrawn, ConsentInterrupted, NoApprover, StorageError.
        """
        with (
            self._lock,
            self._refusal_log.noting(requester, lambda: self._resolver.named(requester, request.connection)),
        ):
            self._refuse_if_over(requester)
            connection = self._resolver.connection(requester, request.connection)
            current = self._running.current(requester)
            self.refuse_if_never(connection, current)
            destination = self._resolver.ready(connection)
            # Raises while locked: nobody is asked to allow what can't be delivered.
            _ = self._secrets.keys
            subject = Subject(
                connection=connection,
                destination=destination,
                requester=current,
                agent=self._claims.made("agent", connection.id, request.agent),
                mode=mode_of(destination.provider),
            )
            at_once = self._without_question(subject, request.held)
            if at_once is not None:
                return at_once
            self._handle_limit.check(connection, current)
            if subject.mode == "brokered":
                self._relays.warm()
            ticket = self.ask(subject, request.reason, request.timeout_s)
        granted = self.answer(ticket, wait)
        if granted.ref is None:
            raise ConsentInterrupted
        return self._response(granted.subject, granted.ref, granted.decision, granted.expires_at)

    def _refuse_if_over(self, requester: Requester) -> None:
        """A connection to the broker can outlive the process that opened it: another process may hold or have received
        it."""
        if not self._running.instance_alive(requester.instance):
            raise NotAllowed("The kernel or process that opened this connection to the broker has ended.")

    def refuse_if_never(self, connection: Connection, requester: Requester) -> None:
        """Raises: AccessDenied (`never`)."""
        if self._grants.never(connection.id, requester) is not None:
            raise said_never()

    def ask(self, subject: Subject, reason: str | None, timeout_s: float | None) -> Ticket:
        """`reason` is as sent, not cleaned. Raises: see `OpenQuestions.put`."""
        claim = self._claims.made("reason", subject.connection.id, reason)
        return self._consent.ask(subject, reason=claim, timeout_s=timeout_s)

    def answer(self, ticket: Ticket, wait: Wait) -> Granted:
        """Waits for the decision. Raises: the refusal, if the decision is not a yes."""
        there = False
        try:
            there = wait(ticket.settled)
        finally:
            if not there:
                with self._lock:
                    self._consent.withdraw(ticket)
        if not there:
            raise ConsentWithdrawn
        answer = ticket.answer
        if isinstance(answer, ConnvaultError):
            raise answer
        if answer is None:
            raise ConsentInterrupted
        return answer

    def may_reveal(self, connection: Connection, destination: Destination) -> bool:
        """Whether code may ask for plain text, by the settings of the server and the connection. Always allowed for a
        connection that offers nothing else."""
        return destination.provider.reveal_only or (self._reveal_allowed and connection.reveal_allowed)

    def _without_question(self, subject: Subject, held: str | None) -> AccessResponse | None:
        if subject.mode == "reveal":
            # Such a handle can only lead to a question, so nobody is asked yet.
            with self._transactions.transaction(durable=False):
                ref = self._still(
                    held if subject.agent is None else None, subject, None
                ) or self._reveal_only(subject.connection, subject.requester, subject.agent)
            return self._response(subject, ref, None, None)
        grant = self._grants.standing(subject)
        if grant is None:
            return None
        with self._transactions.transaction(durable=False):
            ref = self._still(held, subject, grant) or self._another(subject, grant)
            self._audit.record(
                "access:granted",
                connection=subject.connection,
                requester=subject.requester,
                grant=grant,
                decided_by=grant.decided_by,
                durable=False,
            )
        return self._response(subject, ref, grant.decision, grant.expires_at)

    def _still(self, held: str | None, subject: Subject, grant: Grant | None) -> HandleRef | None:
        """The handle that the caller already has, if a new one would be equal."""
        if held is None or not self._handles.same(held, subject.connection, subject.requester, grant):
            return None
        return HandleRef(held)

    def _another(self, subject: Subject, grant: Grant) -> HandleRef:
        self._handle_limit.make(subject.connection, subject.requester)
        return self._handles.give(subject.connection, subject.requester, grant)

    def _reveal_only(self, connection: Connection, requester: Requester, agent: Claim | None) -> HandleRef:
        self._handle_limit.make(connection, requester)
        if agent is None:
            return self._handles.give_reveal_only(connection, requester, None, None)
        kept = self._claims.kept(agent, connection.id)
        return self._handles.give_reveal_only(connection, requester, agent.mark, kept)

    def _response(
        self, subject: Subject, ref: HandleRef, decision: DecisionKind | None, expires_at: datetime | None
    ) -> AccessResponse:
        provider = subject.destination.provider
        return AccessResponse(
            ref=ref,
            connection=subject.connection.name,
            provider_id=provider.id,
            provider_name=provider.name,
            destination=subject.destination.line,
            mode=subject.mode,
            decision=decision,
            expires_at=expires_at,
            deliveries=provider.deliveries,
            reveal_allowed=self.may_reveal(subject.connection, subject.destination),
            delivery=delivery_of(provider, subject.destination.fields),
        )
