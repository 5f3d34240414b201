"""Resolves a name or a handle, if it may be used right now. Records nothing and unseals nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...contracts.access import Requester
from ...contracts.connections import Connection
from ...contracts.contract import GrantId
from ...errors import (
    ConnectionNotReady,
    ConnvaultError,
    HandleInvalid,
    SecretInvalid,
    SecretMissing,
    VaultLocked,
)
from ..connections.destinations import Destination
from ..connections.directory import Directory
from ..grants.ended import Ended
from ..grants.handles import Handles
from ..grants.service import Grants, belongs
from ..ports import Handle, RunningRequesters, StoredGrant
from ..requester_claims import Claim, agent_of_grant, agent_of_handle
from ..secrets.service import SecretsService

EDITED = (
    "This connection was changed outside connvault. It is not used until you review it, save it and enter "
    "its secret again."
)
UNCONFIRMED = (
    "This connection was saved while the vault was locked, or changed outside connvault. Review it in the "
    "Connections panel and save it again, or enter its secret."
)

_FOREIGN = frozenset({"edited", "unconfirmed"})

_REASONS = {"expired": "expired", "destination_changed": "changed", "changed": "changed"}


@dataclass(frozen=True)
class ResolvedHandle:
    """A handle that is valid for its requester now. `stored` is `None` for one that can only ask to reveal."""

    handle: Handle
    connection: Connection
    destination: Destination
    stored: StoredGrant | None

    @property
    def agent(self) -> Claim | None:
        """The agent claim with which the handle was requested."""
        return agent_of_handle(self.handle) if self.stored is None else agent_of_grant(self.stored.grant)


class HandleResolver:
    """The checks that come before every use."""

    def __init__(
        self,
        *,
        directory: Directory,
        grants: Grants,
        handles: Handles,
        secrets: SecretsService,
        running: RunningRequesters,
        ended: Ended,
    ) -> None:
        self._ended = ended
        self._connections = directory.documents
        self._visible = directory.visible
        self._workspaces = directory.workspaces
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._grants = grants
        self._handles = handles
        self._secrets = secrets
        self._running = running

    @property
    def locked(self) -> bool:
        """Whether the vault is locked, so that nothing can be used. Raises: StorageError."""
        return self._secrets.keys_if_unlocked is None

    def connection(self, requester: Requester, name: str) -> Connection:
        """The connection that this requester means by this name.

        Raises: see `VisibleConnections.named`."""
        return self._visible.named(requester, name)

    def named(self, requester: Requester, name: str) -> Connection | None:
        """Likewise, if there is one."""
        try:
            return self._visible.named(requester, name)
        except ConnvaultError:
            return None

    def every(self, requester: Requester, name: str) -> Sequence[Connection]:
        """All that the name could mean: see `VisibleConnections.every`."""
        return self._visible.every(requester, name)

    def still_accepted(self, connection: Connection) -> bool:
        """Whether its project's file says what was accepted, if it is of a project. Looks at nothing else."""
        return self._workspaces.difference(connection) is None

    def meant(self, requester: Requester, ref: str) -> Connection | None:
        """The connection of this requester's own handle, even if it may not be used."""
        try:
            return self._connections.get(self._handles.find(ref, requester).connection_id)
        except HandleInvalid:
            return None

    def ready(self, connection: Connection) -> Destination:
        """Where its secrets may be sent. Checks that it is ready. Raises: SecretMissing, SecretInvalid,
        ConnectionNotReady, WorkspaceFileInvalid."""
        self._refuse_if_not_ready(connection)
        return self._destination(connection)

    def handle(self, requester: Requester, ref: str, *, grant_id: GrantId | None = None) -> ResolvedHandle:
        """The handle with its grant, connection and destination. `grant_id`: its grant's, if already known.

        Raises: HandleInvalid, VaultLocked, VaultNotSetUp, SecretMissing, SecretInvalid, ConnectionNotReady.
        """
        handle = self._handles.find(ref, requester)
        if self._ended.all_of_it:
            raise VaultLocked
        if grant_id is not None and handle.grant_id != grant_id:
            raise HandleInvalid(reason="revoked")
        # Without the keys no MAC can be checked.
        _ = self._secrets.keys
        connection = self._connections.get(handle.connection_id)
        if connection is None:
            raise HandleInvalid(reason="deleted")
        if connection.status_reason in _FOREIGN:
            # It is not the broker's own, so its fields are not judged at all.
            self._refuse_if_not_ready(connection)
        destination = self._destination(connection)
        stored = self._granted(handle, connection, destination, requester)
        # After the grant: open sessions may outlive a missing secret, but never the permission.
        self._refuse_if_not_ready(connection)
        return ResolvedHandle(handle, connection, destination, stored)

    def _granted(
        self, handle: Handle, connection: Connection, destination: Destination, requester: Requester
    ) -> StoredGrant | None:
        if handle.grant_id is None:
            if handle.mode != "reveal":
                # Only an edited row looks like this: a handle for a login always has its grant.
                raise HandleInvalid(reason="revoked")
            return None
        stored = self._grants.get(handle.grant_id)
        if stored is None:
            raise HandleInvalid(reason="revoked")
        reason_not = self._grants.reason_not(stored, connection.id, destination)
        if reason_not:
            raise HandleInvalid(reason=_REASONS.get(reason_not, "revoked"))
        grant = stored.grant
        # Handles have no MAC: whatever their row says, the grant decides who may use it and how.
        if (
            grant.decision == "deny_always"
            or grant.mode != handle.mode
            or not (belongs(grant, requester) or belongs(grant, self._running.current(requester)))
        ):
            raise HandleInvalid(reason="revoked")
        return stored

    def _destination(self, connection: Connection) -> Destination:
        provider = self._registry.get(connection.provider_id)
        if provider is None:
            raise ConnectionNotReady
        return self._destinations.of(connection, provider)

    def _refuse_if_not_ready(self, connection: Connection) -> None:
        if connection.status == "ready":
            return
        match connection.status_reason:
            case "secret_missing" | "destination_changed":
                raise SecretMissing
            case "secret_unreadable":
                raise SecretInvalid
            case "edited":
                raise ConnectionNotReady(EDITED, reason="edited")
            case "unconfirmed":
                raise ConnectionNotReady(UNCONFIRMED, reason="unconfirmed")
            case "workspace_changed" | "workspace_gone" | "workspace_unreadable":
                raise self._workspaces.refusal(connection)
            case _:
                raise ConnectionNotReady
