"""Connections leave for another machine, in one encrypted file. Nothing is stored, and no permission goes along.

With secrets this is, beside `access.service`, the second path by which one leaves, so it asks for more: the secret of a
key slot again, which nobody has who only has the server's token, and for a connection that forbids to reveal its
secrets a second such request, which names it after it was withheld. The activity log has a row for each connection and
each secret before the file is handed out.
"""

from __future__ import annotations

from ...contracts.connections import Connection
from ...contracts.transfer import (
    ExportConnections,
    ExportedConnection,
    ExportedConnections,
    LeftOut,
    WithoutSecrets,
)
from ...contracts.vault import SlotProof
from ...errors import AuthenticationOff, ConnectionNotFound, ConnvaultError, SecretInvalid
from ..connections.directory import Directory
from ..context import Context
from ..ports import SealedSecret
from ..secrets.service import SecretsService
from ..secrets.single_flight import SingleFlight
from ..secrets.slot_proof import SlotProofs
from ..short_memory import Until
from ..vault_ports import ExportFiles
from .content import Exported, encoded

# After a connection was withheld: as long as a person takes to read that, and to decide.
NAMED_WITHIN_S = 600


class ConnectionExports:
    """Waits for key derivations, so it is called without the lock."""

    def __init__(
        self,
        *,
        context: Context,
        directory: Directory,
        secrets: SecretsService,
        proofs: SlotProofs,
        single_flight: SingleFlight,
        files: ExportFiles,
    ) -> None:
        self._documents = directory.documents
        self._registry = directory.registry
        self._destinations = directory.destinations
        self._secrets = secrets
        self._proofs = proofs
        self._single_flight = single_flight
        self._files = files
        # By id.
        self._withheld: Until[str] = Until()
        self._transactions = context.transactions
        self._audit = context.audit
        self._clock = context.clock
        self._lock = context.lock
        self._settings = context.settings

    def export(self, request: ExportConnections, *, actor: str) -> ExportedConnections:
        """The file, and what is in it and what is not.

        Raises: ConnectionNotFound, WeakPassphrase, ExportTooLarge, CustodianUnavailable, StorageError.
            VaultLocked: nobody can tell which connections were changed outside connvault.
            With secrets: AuthenticationOff, VaultNotSetUp, WrongPassphrase, SlotProofRefused, VaultReplaced.
        """
        if request.with_secrets:
            self._prove(request.proof or SlotProof(), actor)
        # The keys are looked at in the transaction in which the secrets are read.
        with self._lock, self._transactions.transaction():
            exported, left_out = self._gathered(request)
        text = self._files.sealed(encoded(self._clock(), exported), request.passphrase.get_secret_value())
        with self._lock, self._transactions.transaction():
            for one in exported:
                self._audit.record("connection:exported", connection=one.connection, decided_by=actor)
                for field in one.secrets:
                    self._audit.record(
                        "secret:exported", connection=one.connection, field=field, decided_by=actor
                    )
        return ExportedConnections(
            file=text,
            connections=[
                ExportedConnection(
                    id=one.connection.id,
                    name=one.connection.name,
                    secrets=[*one.secrets],
                    without_secrets=one.without_secrets,
                )
                for one in exported
            ],
            left_out=left_out,
        )

    def _prove(self, proof: SlotProof, actor: str) -> None:
        if not self._settings.authenticated:
            raise AuthenticationOff
        with self._single_flight.alone():
            try:
                self._proofs.opened(self._proofs.record(), proof)
            except ConnvaultError as refused:
                with self._lock:
                    self._audit.refused("connection:exported", refused, actor=actor)
                raise

    def _gathered(self, request: ExportConnections) -> tuple[list[Exported], list[LeftOut]]:
        # Without a vault there are no secrets, and no connection has a MAC.
        if request.with_secrets or self._secrets.short_state == "locked":
            _ = self._secrets.keys
        sealed: dict[str, list[SealedSecret]] = {}
        for secret in self._secrets.sealed.all():
            sealed.setdefault(secret.connection_id, []).append(secret)
        exported, left_out = [], []
        for connection in self._asked(request):
            if connection.status_reason == "edited" or connection.status_reason == "unconfirmed":
                # Whoever changed it would have it look confirmed on the other machine.
                left_out.append(
                    LeftOut(id=connection.id, name=connection.name, reason=connection.status_reason)
                )
            else:
                exported.append(self._exported(connection, sealed.get(connection.id, []), request))
        return exported, left_out

    def _asked(self, request: ExportConnections) -> list[Connection]:
        present = self._documents.all()
        if request.ids is None:
            return [*present]
        wanted = set(request.ids)
        if not wanted <= {one.id for one in present}:
            raise ConnectionNotFound
        return [one for one in present if one.id in wanted]

    def _exported(
        self, connection: Connection, sealed: list[SealedSecret], request: ExportConnections
    ) -> Exported:
        why: WithoutSecrets
        if not sealed:
            why = "none_set"
        elif not request.with_secrets:
            why = "not_asked"
        elif not (connection.reveal_allowed and self._settings.reveal_allowed) and not (
            connection.id in request.although_no_reveal
            and self._withheld.remaining_s(connection.id, self._clock()) > 0
        ):
            why = "no_reveal"
            self._withheld.remember(connection.id, self._clock(), NAMED_WITHIN_S)
        else:
            return self._with_secrets(connection, sealed)
        return Exported(connection, without_secrets=why)

    def _with_secrets(self, connection: Connection, sealed: list[SealedSecret]) -> Exported:
        provider = self._registry.get(connection.provider_id)
        if provider is None:
            return Exported(connection, without_secrets="provider_missing")
        destination = self._destinations.of(connection, provider)
        try:
            secrets = {
                one.field: self._secrets.sealed.unseal(connection, one, destination)
                for one in sealed
                if one.field in destination.secret_fields
            }
        except SecretInvalid:
            return Exported(connection, without_secrets="unreadable")
        return Exported(connection, secrets, None if secrets else "none_set")
