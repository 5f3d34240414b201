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
from .carrying_over import CarryingOver
from .claims import Claims
from .connection_views import ConnectionViews
from .connections import ConnectionsService
from .consent import ConsentService
from .destinations import Destinations
from .documents import Documents
from .ended import Ended
from .grants import Grants
from .handles import Handles
from .held_keys import HeldKeys
from .noticing import Noticing
from .opening import Opening
from .ports import (
    AuditStore,
    Clock,
    DocumentStore,
    GrantStore,
    HandleStore,
    Lock,
    OpenQuestionStore,
    Probe,
    ProviderRegistry,
    Publish,
    Randomness,
    RunningRequesters,
    SecretStore,
    Transactions,
)
from .proposals import ProposalsService
from .question_log import QuestionLog
from .reader import SecretReader
from .recollection import Recollection
from .refusals import Refusals
from .rekeying import Rekeying
from .relay_ports import Relays
from .requesting import Requesting
from .revocation import Revocation
from .room import Room
from .secrets import SecretsService
from .sightings import Sightings
from .trial import Trial
from .uses import Uses
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
        carrying_over=CarryingOver(
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
    room = Room(handles=handles, grants=grants, relays=relays, audit=audit)
    reader = SecretReader(
        secrets=secrets,
        documents=documents,
        transactions=transactions,
        audit=audit,
        publish=publish,
    )
    uses = Uses(grants=stores.grants, connections=documents, transactions=transactions)
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
    refusals = Refusals(audit=audit, running=running, clock=clock)
    consent = ConsentService(
        asking=Asking(
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
        refusals=refusals,
        secrets=secrets,
        transactions=transactions,
        audit=audit,
        uses=uses,
        noticing=Noticing(
            held=held,
            documents=documents,
            transactions=transactions,
            audit=audit,
            clock=clock,
            publish=publish,
        ),
        room=room,
        settings=settings.consent,
        clock=clock,
        publish=publish,
        authenticated=settings.authenticated,
    )
    opening = Opening(
        connections=documents,
        registry=registry,
        destinations=destinations,
        grants=grants,
        handles=handles,
        secrets=secrets,
        running=running,
        ended=ended,
    )
    requesting = Requesting(
        opening=opening,
        grants=grants,
        handles=handles,
        consent=consent,
        secrets=secrets,
        claims=claims,
        refusals=refusals,
        transactions=transactions,
        audit=audit,
        running=running,
        relays=relays,
        room=room,
        reveal_allowed=settings.reveal_allowed,
        lock=lock,
    )
    access = AccessService(
        connections=documents,
        opening=opening,
        recollection=Recollection(
            transactions=transactions, grants=grants, secrets=secrets, ended=ended, clock=clock
        ),
        uses=uses,
        room=room,
        revocation=revocation,
        secrets=secrets,
        reader=reader,
        transactions=transactions,
        audit=audit,
        running=running,
        requesting=requesting,
        refusals=refusals,
        sightings=Sightings(audit=audit, connections=documents, opening=opening, clock=clock),
        relays=relays,
        ended=ended,
        clock=clock,
        lock=lock,
    )
    trial = Trial(
        store=documents,
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
        documents=documents,
        secrets=secrets,
        registry=registry,
        destinations=destinations,
        views=ConnectionViews(
            documents=documents,
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
        reveal_allowed=settings.reveal_allowed,
    )
    proposals = ProposalsService(
        registry=registry,
        running=running,
        refusals=refusals,
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
