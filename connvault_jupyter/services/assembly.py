"""Puts the services together. The one place that knows how they depend on each other; no rule is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from ..contracts.supervision import BrokerSettings
from ..contracts.vault import CustodianKind
from .access import AccessService
from .asking import Asking
from .audit import AuditService
from .connection_views import ConnectionViews
from .connections import ConnectionsService
from .consent import ConsentService
from .destinations import Destinations
from .grants import Grants
from .handles import Handles
from .opening import Opening
from .ports import (
    AuditStore,
    CheckValue,
    Clock,
    ConnectionStore,
    Custodian,
    DeriveKeys,
    GrantStore,
    HandleStore,
    Lock,
    OpenQuestionStore,
    Probe,
    ProviderRegistry,
    Publish,
    Randomness,
    Relays,
    RunningRequesters,
    SecretStore,
    Transactions,
    VaultStore,
)
from .question_log import QuestionLog
from .reader import SecretReader
from .recollection import Recollection
from .refusals import Refusals
from .requesting import Requesting
from .revocation import Revocation
from .secrets import SecretsService
from .sightings import Sightings
from .trial import Trial
from .uses import Uses


class Stores(Protocol):
    """All stores of one database."""

    @property
    def transactions(self) -> Transactions: ...
    @property
    def vault(self) -> VaultStore: ...
    @property
    def connections(self) -> ConnectionStore: ...
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
    audit: AuditService


def assemble(
    *,
    stores: Stores,
    registry: ProviderRegistry,
    custodians: Mapping[CustodianKind, Custodian],
    derive_keys: DeriveKeys,
    check_value: CheckValue,
    probe: Probe,
    relays: Relays,
    running: RunningRequesters,
    key_of_document: Callable[[str], str],
    settings: BrokerSettings,
    broker: str,
    clock: Clock,
    randomness: Randomness,
    publish: Publish,
    lock: Lock,
) -> Assembled:
    """Wires the services over one database.

    `broker` names this process (`pid:start time`) in the questions that it leaves open; `key_of_document` gives the
    requester key of a notebook's path as the server writes it.
    """
    transactions = stores.transactions
    audit = AuditService(
        store=stores.audit,
        transactions=transactions,
        clock=clock,
        publish=publish,
        lock=lock,
        max_bytes=settings.audit_max_bytes,
    )
    secrets = SecretsService(
        store=stores.vault,
        secrets=stores.secrets,
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
    )
    destinations = Destinations(registry=registry)
    grants = Grants(
        store=stores.grants,
        keys=lambda: secrets.keys_if_unlocked,
        running=running,
        settings=settings.consent,
        clock=clock,
        randomness=randomness,
    )
    handles = Handles(store=stores.handles, clock=clock, randomness=randomness)
    reader = SecretReader(
        secrets=secrets,
        connections=stores.connections,
        transactions=transactions,
        audit=audit,
        clock=clock,
        publish=publish,
    )
    uses = Uses(grants=stores.grants, connections=stores.connections, transactions=transactions)
    revocation = Revocation(
        grants=grants,
        handles=handles,
        connections=stores.connections,
        transactions=transactions,
        audit=audit,
        clock=clock,
        publish=publish,
        key_of_document=key_of_document,
    )
    consent = ConsentService(
        asking=Asking(
            connections=stores.connections,
            registry=registry,
            destinations=destinations,
            log=QuestionLog(
                open_questions=stores.questions, transactions=transactions, audit=audit, broker=broker
            ),
            running=running,
            settings=settings.consent,
            clock=clock,
            randomness=randomness,
            publish=publish,
        ),
        grants=grants,
        handles=handles,
        revocation=revocation,
        connections=stores.connections,
        registry=registry,
        destinations=destinations,
        secrets=secrets,
        transactions=transactions,
        audit=audit,
        uses=uses,
        settings=settings.consent,
        clock=clock,
        publish=publish,
        authenticated=settings.authenticated,
    )
    opening = Opening(
        connections=stores.connections,
        registry=registry,
        destinations=destinations,
        grants=grants,
        handles=handles,
        secrets=secrets,
        running=running,
    )
    refusals = Refusals(audit=audit, clock=clock)
    requesting = Requesting(
        opening=opening,
        grants=grants,
        handles=handles,
        consent=consent,
        secrets=secrets,
        reader=reader,
        refusals=refusals,
        transactions=transactions,
        audit=audit,
        running=running,
        relays=relays,
        reveal_allowed=settings.reveal_allowed,
        lock=lock,
    )
    access = AccessService(
        connections=stores.connections,
        opening=opening,
        recollection=Recollection(transactions=transactions, grants=grants, secrets=secrets, clock=clock),
        uses=uses,
        revocation=revocation,
        secrets=secrets,
        reader=reader,
        transactions=transactions,
        audit=audit,
        running=running,
        requesting=requesting,
        refusals=refusals,
        sightings=Sightings(audit=audit, connections=stores.connections, opening=opening, clock=clock),
        relays=relays,
        clock=clock,
        lock=lock,
    )
    trial = Trial(
        store=stores.connections,
        secrets=secrets,
        opening=opening,
        reader=reader,
        transactions=transactions,
        audit=audit,
        probe=probe,
        publish=publish,
        lock=lock,
    )
    connections = ConnectionsService(
        store=stores.connections,
        secrets=secrets,
        registry=registry,
        destinations=destinations,
        views=ConnectionViews(
            store=stores.connections,
            secrets=secrets,
            registry=registry,
            destinations=destinations,
            uses=uses,
        ),
        trial=trial,
        reader=reader,
        revocation=revocation,
        transactions=transactions,
        audit=audit,
        clock=clock,
        randomness=randomness,
        publish=publish,
    )
    return Assembled(secrets=secrets, connections=connections, consent=consent, access=access, audit=audit)
