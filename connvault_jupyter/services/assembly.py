"""Wires the services together. The only module that knows how they depend on each other; no rules here."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts.supervision import BrokerSettings
from .access.refusal_log import RefusalLog
from .access.request import HandleRequests
from .access.requesters import Requesters
from .access.resolve import HandleResolver
from .access.resolve_cache import ResolveCache
from .access.service import AccessService
from .access.use import HandleUses
from .audit.export import AuditExports
from .audit.service import AuditService
from .audit.sightings import Sightings
from .connections.changes import ConnectionChanges
from .connections.connection_check import ConnectionChecks
from .connections.destinations import Destinations
from .connections.directory import Directory
from .connections.documents import Documents
from .connections.proposals import ProposalsService
from .connections.service import ConnectionsService
from .connections.upgrade import Upgrade
from .connections.views import ConnectionViews
from .connections.visible import VisibleConnections
from .connections.workspace_service import WorkspacesService
from .connections.workspaces import Workspaces
from .consent.log import QuestionLog
from .consent.open_questions import OpenQuestions
from .consent.service import ConsentService
from .context import Context, Runtime, Stores
from .grants.ended import Ended
from .grants.handle_limit import HandleLimit
from .grants.handles import Handles
from .grants.permissions import Permissions
from .grants.revocation import Revocation
from .grants.service import Grants
from .grants.use_counter import UseCounter
from .outside_changes import OutsideChanges
from .ports import ConnectionCheck, ProviderRegistry, RunningRequesters
from .relay_ports import Relays
from .requester_claims import Claims
from .secrets.custody import Custody
from .secrets.held_keys import HeldKeys
from .secrets.idle_lock import IdleLock
from .secrets.key_change import KeyChange
from .secrets.reader import SecretReader
from .secrets.rekeying import Rekeying
from .secrets.service import SecretsService
from .secrets.slot_proof import SlotProofs
from .secrets.slot_service import SlotService
from .transfer.exports import ConnectionExports
from .transfer.imports import ConnectionImports
from .vault_ports import VaultPorts


@dataclass(frozen=True)
class Assembled:
    """The services that the channels and the relays call."""

    secrets: SecretsService
    slots: SlotService
    idle_lock: IdleLock
    connections: ConnectionsService
    workspaces: WorkspacesService
    consent: ConsentService
    access: AccessService
    proposals: ProposalsService
    sightings: Sightings
    audit: AuditService
    exports: AuditExports
    connection_exports: ConnectionExports
    connection_imports: ConnectionImports


def assemble(
    *,
    runtime: Runtime,
    settings: BrokerSettings,
    stores: Stores,
    vault: VaultPorts,
    registry: ProviderRegistry,
    running: RunningRequesters,
    relays: Relays,
    connection_check: ConnectionCheck,
) -> Assembled:
    """Wires the services over one database: first what all share, then the groups, then the services that use them."""
    held = HeldKeys(store=stores.vault, transactions=stores.transactions)
    claims = Claims(keys=lambda: held.keys, every=held.every)
    audit = AuditService(
        store=stores.audit,
        transactions=stores.transactions,
        claims=claims,
        keys=lambda: held.now,
        clock=runtime.clock,
        publish=runtime.publish,
        lock=runtime.lock,
        max_bytes=settings.audit_max_bytes,
    )
    context = Context(
        clock=runtime.clock,
        randomness=runtime.randomness,
        publish=runtime.publish,
        lock=runtime.lock,
        transactions=stores.transactions,
        audit=audit,
        settings=settings,
    )

    workspaces = Workspaces(files=runtime.projects, registry=registry, running=running)
    documents = Documents(
        store=stores.connections,
        secrets=stores.secrets,
        registry=registry,
        keys=lambda: held.keys,
        workspaces=workspaces,
    )
    directory = Directory(
        documents=documents,
        visible=VisibleConnections(documents=documents, workspaces=workspaces),
        workspaces=workspaces,
        registry=registry,
        destinations=Destinations(registry=registry),
    )

    ended = Ended(cut=relays.changed)
    grants = Grants(
        context=context, store=stores.grants, keys=lambda: held.keys, running=running, ended=ended
    )
    handles = Handles(store=stores.handles, ended=ended, clock=runtime.clock, randomness=runtime.randomness)
    permissions = Permissions(
        grants=grants,
        handles=handles,
        handle_limit=HandleLimit(handles=handles, grants=grants, relays=relays, audit=audit),
        use_counter=UseCounter(grants=stores.grants, connections=documents, transactions=stores.transactions),
        revocation=Revocation(
            context=context,
            connections=documents,
            grants=grants,
            handles=handles,
            ended=ended,
            running=running,
        ),
        ended=ended,
    )
    refusal_log = RefusalLog(audit=audit, running=running, clock=runtime.clock)
    requesters = Requesters(running=running, claims=claims, refusal_log=refusal_log)

    custody = Custody(ports=vault, preferred=settings.custodian, hardening_detail=runtime.hardening_detail)
    key_change = KeyChange(
        context=context,
        stores=stores,
        ports=vault,
        held=held,
        rekeying=Rekeying(
            stores=stores,
            directory=directory,
            grants=grants,
            upgrade=Upgrade(directory=directory, grants=grants, claims=claims, audit=audit),
            audit=audit,
        ),
    )
    secrets = SecretsService(
        context=context,
        stores=stores,
        ports=vault,
        custody=custody,
        held=held,
        ended=ended,
        documents=documents,
        key_change=key_change,
    )
    proofs = SlotProofs(stores=stores, custody=custody, lock=runtime.lock)
    slots = SlotService(
        context=context,
        stores=stores,
        ports=vault,
        custody=custody,
        held=held,
        key_change=key_change,
        proofs=proofs,
    )
    reader = SecretReader(context=context, documents=documents, secrets=secrets)
    resolver = HandleResolver(
        directory=directory, grants=grants, handles=handles, secrets=secrets, running=running, ended=ended
    )

    consent = ConsentService(
        context=context,
        directory=directory,
        permissions=permissions,
        claims=claims,
        refusal_log=refusal_log,
        secrets=secrets,
        open_questions=OpenQuestions(
            context=context,
            directory=directory,
            running=running,
            claims=claims,
            reader=reader,
            log=QuestionLog(
                open_questions=stores.questions,
                transactions=stores.transactions,
                audit=audit,
                broker=runtime.name,
            ),
        ),
        outside_changes=OutsideChanges(context=context, held=held, directory=directory),
    )
    access = AccessService(
        context=context,
        directory=directory,
        permissions=permissions,
        requesters=requesters,
        resolver=resolver,
        uses=HandleUses(
            context=context,
            permissions=permissions,
            refusal_log=refusal_log,
            resolver=resolver,
            resolve_cache=ResolveCache(
                context=context,
                grants=grants,
                secrets=secrets,
                ended=ended,
                still_accepted=resolver.still_accepted,
            ),
            secrets=secrets,
            reader=reader,
        ),
        requests=HandleRequests(
            context=context,
            permissions=permissions,
            requesters=requesters,
            resolver=resolver,
            consent=consent,
            secrets=secrets,
            relays=relays,
        ),
        relays=relays,
    )
    views = ConnectionViews(directory=directory, secrets=secrets, use_counter=permissions.use_counter)
    changes = ConnectionChanges(
        context=context,
        directory=directory,
        secrets=secrets,
        reader=reader,
        views=views,
        revocation=permissions.revocation,
    )
    projects = WorkspacesService(context=context, directory=directory, changes=changes)
    connections = ConnectionsService(
        context=context,
        directory=directory,
        secrets=secrets,
        views=views,
        checks=ConnectionChecks(
            context=context,
            store=documents,
            secrets=secrets,
            reader=reader,
            resolver=resolver,
            check=connection_check,
        ),
        changes=changes,
        projects=projects,
    )
    return Assembled(
        secrets=secrets,
        slots=slots,
        idle_lock=IdleLock(context=context, held=held, secrets=secrets, audit=audit, relays=relays),
        connections=connections,
        workspaces=projects,
        consent=consent,
        access=access,
        proposals=ProposalsService(
            context=context, registry=registry, running=running, refusal_log=refusal_log
        ),
        sightings=Sightings(audit=audit, connections=documents, resolver=resolver, clock=runtime.clock),
        audit=audit,
        exports=AuditExports(
            audit=audit,
            store=stores.audit,
            claims=claims,
            keys=lambda: held.now,
            vault_id=lambda: _vault_id(stores),
            clock=runtime.clock,
            lock=runtime.lock,
        ),
        connection_exports=ConnectionExports(
            context=context,
            directory=directory,
            secrets=secrets,
            proofs=proofs,
            single_flight=key_change.single_flight,
            files=vault.export_files,
        ),
        connection_imports=ConnectionImports(
            context=context, directory=directory, connections=connections, files=vault.export_files
        ),
    )


def _vault_id(stores: Stores) -> str | None:
    record = stores.vault.load()
    return None if record is None else record.vault_id
