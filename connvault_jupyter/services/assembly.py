"""Puts the services together. The one place that knows how they depend on each other; no rule is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..contracts.supervision import BrokerSettings
from ..contracts.vault import CustodianKind
from .access.refusal_log import RefusalLog
from .access.request import HandleRequests
from .access.resolve import HandleResolver
from .access.resolve_cache import ResolveCache
from .access.service import AccessService
from .audit.service import AuditService
from .audit.sightings import Sightings
from .claims import Claims
from .connections.connection_check import ConnectionChecks
from .connections.destinations import Destinations
from .connections.documents import Documents
from .connections.proposals import ProposalsService
from .connections.service import ConnectionsService
from .connections.upgrade import Upgrade
from .connections.views import ConnectionViews
from .consent.log import QuestionLog
from .consent.open_questions import OpenQuestions
from .consent.service import ConsentService
from .grants.ended import Ended
from .grants.handle_limit import HandleLimit
from .grants.handles import Handles
from .grants.revocation import Revocation
from .grants.service import Grants
from .grants.use_counter import UseCounter
from .outside_changes import OutsideChanges
from .ports import (
    AuditStore,
    Clock,
    ConnectionCheck,
    DocumentStore,
    GrantStore,
    HandleStore,
    Lock,
    OpenQuestionStore,
    ProviderRegistry,
    Publish,
    Randomness,
    RunningRequesters,
    SecretStore,
    Transactions,
)
from .relay_ports import Relays
from .secrets.held_keys import HeldKeys
from .secrets.reader import SecretReader
from .secrets.rekeying import Rekeying
from .secrets.service import SecretsService
from .vault_ports import CheckValue, Custodian, DeriveKeys, VaultStore


class Stores(Protocol):
    """All stores of one database."""

    @property
    def transactions(self) -> Transactions: ...
    @property
    def vault(self) -> VaultStore: ...
    @property
    def connections(self) -> DocumentStore: ...
    @property
    def secrets(self) -> SecretStore: ...
    @property
    def grants(self) -> GrantStore: ...
    @property
    def handles(self) -> HandleStore: ...
    @property
    def audit(self) -> AuditStore: ...
    @property
    def questions(self) -> OpenQuestionStore: ...


@dataclass(frozen=True)
class Assembled:
    """The services that the doors call."""

    secrets: SecretsService
    connections: ConnectionsService
    consent: ConsentService
    access: AccessService
    proposals: ProposalsService
    audit: AuditService


def assemble(
    *,
    stores: Stores,
    registry: ProviderRegistry,
    custodians: Mapping[CustodianKind, Custodian],
    derive_keys: DeriveKeys,
    check_value: CheckValue,
    connection_check: ConnectionCheck,
    relays: Relays,
    running: RunningRequesters,
    key_of_document: Callable[[str], str],
    settings: BrokerSettings,
    broker: str,
    clock: Clock,
    randomness: Randomness,
    publish: Publish,
    lock: Lock,
    hardening_detail: str = "",
) -> Assembled:
    """Wires the services over one database.

    `broker` names this process (`pid:start time`) in the questions that it leaves open; `key_of_document` gives the
    requester key of a notebook's path as the server writes it; `hardening_detail` is shown with the vault.
    """
    transactions = stores.transactions
    ended = Ended(cut=relays.changed)
    held = HeldKeys(store=stores.vault, transactions=transactions)
    claims = Claims(keys=lambda: held.keys, every=held.every)
    audit = AuditService(
        store=stores.audit,
        transactions=transactions,
        claims=claims,
        keys=lambda: held.now,
        clock=clock,
        publish=publish,
        lock=lock,
        max_bytes=settings.audit_max_bytes,
    )
    destinations = Destinations(registry=registry)
    documents = Documents(
        store=stores.connections, secrets=stores.secrets, registry=registry, keys=lambda: held.keys
    )
    grants = Grants(
        store=stores.grants,
        keys=lambda: held.keys,
        running=running,
        ended=ended,
        settings=settings.consent,
        clock=clock,
        randomness=randomness,
    )
    secrets = SecretsService(
        store=stores.vault,
        secrets=stores.secrets,
        held=held,
        ended=ended,
        documents=documents,
        rekeying=Rekeying(
            vault=stores.vault,
            secrets=stores.secrets,
            documents=documents,
            grants=grants,
            registry=registry,
            destinations=destinations,
            audit=audit,
        ),
        upgrade=Upgrade(
            grants=grants,
            claims=claims,
            connections=documents,
            registry=registry,
            destinations=destinations,
            audit=audit,
        ),
        transactions=transactions,
        custodians=custodians,
        preferred=settings.custodian,
        derive_keys=derive_keys,
        check_value=check_value,
        audit=audit,
        clock=clock,
        randomness=randomness,
        publish=publish,
        lock=lock,
        authenticated=settings.authenticated,
        hardening_detail=hardening_detail,
    )
    handles = Handles(store=stores.handles, ended=ended, clock=clock, randomness=randomness)
    handle_limit = HandleLimit(handles=handles, grants=grants, relays=relays, audit=audit)
    reader = SecretReader(
        secrets=secrets,
        documents=documents,
        transactions=transactions,
        audit=audit,
        publish=publish,
    )
    use_counter = UseCounter(grants=stores.grants, connections=documents, transactions=transactions)
    revocation = Revocation(
        grants=grants,
        handles=handles,
        connections=documents,
        transactions=transactions,
        audit=audit,
        clock=clock,
        publish=publish,
        key_of_document=key_of_document,
        ended=ended,
        lock=lock,
    )
    refusal_log = RefusalLog(audit=audit, running=running, clock=clock)
    consent = ConsentService(
        open_questions=OpenQuestions(
            connections=documents,
            registry=registry,
            destinations=destinations,
            log=QuestionLog(
                open_questions=stores.questions, transactions=transactions, audit=audit, broker=broker
            ),
            running=running,
            claims=claims,
            reader=reader,
            settings=settings.consent,
            clock=clock,
            randomness=randomness,
            publish=publish,
        ),
        grants=grants,
        handles=handles,
        revocation=revocation,
        connections=documents,
        registry=registry,
        destinations=destinations,
        claims=claims,
        refusal_log=refusal_log,
        secrets=secrets,
        transactions=transactions,
        audit=audit,
        use_counter=use_counter,
        outside_changes=OutsideChanges(
            held=held,
            documents=documents,
            transactions=transactions,
            audit=audit,
            clock=clock,
            publish=publish,
        ),
        handle_limit=handle_limit,
        settings=settings.consent,
        clock=clock,
        publish=publish,
        authenticated=settings.authenticated,
    )
    resolver = HandleResolver(
        connections=documents,
        registry=registry,
        destinations=destinations,
        grants=grants,
        handles=handles,
        secrets=secrets,
        running=running,
        ended=ended,
    )
    requests = HandleRequests(
        resolver=resolver,
        grants=grants,
        handles=handles,
        consent=consent,
        secrets=secrets,
        claims=claims,
        refusal_log=refusal_log,
        transactions=transactions,
        audit=audit,
        running=running,
        relays=relays,
        handle_limit=handle_limit,
        reveal_allowed=settings.reveal_allowed,
        lock=lock,
    )
    access = AccessService(
        connections=documents,
        resolver=resolver,
        resolve_cache=ResolveCache(
            transactions=transactions, grants=grants, secrets=secrets, ended=ended, clock=clock
        ),
        use_counter=use_counter,
        handle_limit=handle_limit,
        revocation=revocation,
        secrets=secrets,
        reader=reader,
        transactions=transactions,
        audit=audit,
        running=running,
        requests=requests,
        refusal_log=refusal_log,
        sightings=Sightings(audit=audit, connections=documents, resolver=resolver, clock=clock),
        relays=relays,
        ended=ended,
        clock=clock,
        lock=lock,
    )
    checks = ConnectionChecks(
        store=documents,
        secrets=secrets,
        resolver=resolver,
        reader=reader,
        transactions=transactions,
        audit=audit,
        check=connection_check,
        publish=publish,
        lock=lock,
    )
    connections = ConnectionsService(
        documents=documents,
        secrets=secrets,
        registry=registry,
        destinations=destinations,
        views=ConnectionViews(
            documents=documents,
            secrets=secrets,
            registry=registry,
            destinations=destinations,
            use_counter=use_counter,
        ),
        checks=checks,
        reader=reader,
        revocation=revocation,
        transactions=transactions,
        audit=audit,
        clock=clock,
        randomness=randomness,
        publish=publish,
        reveal_allowed=settings.reveal_allowed,
    )
    proposals = ProposalsService(
        registry=registry,
        running=running,
        refusal_log=refusal_log,
        audit=audit,
        clock=clock,
        randomness=randomness,
    )
    return Assembled(
        secrets=secrets,
        connections=connections,
        consent=consent,
        access=access,
        proposals=proposals,
        audit=audit,
    )
