"""The sealed secrets: sealed for exactly one connection, field and destination, stored, and unsealed again.

Who may have one is decided by `access.service`. Only `unseal` returns a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...contracts.connections import Connection
from ...contracts.contract import ConnectionId, SecretRef
from ...errors import (
    AuthenticationOff,
    SecretInvalid,
    VaultLocked,
    VaultNotSetUp,
)
from ..connections.destinations import Destination
from ..identifiers import new_id
from ..ports import Clock, Randomness, SealedSecret, SecretStore
from ..vault_ports import Keys
from .guessability import maskable


class SealedSecrets:
    """`keys` raises while the vault is locked or absent; `vault_id` is only called when there are keys.

    `keys_after_the_look` does not check whether they are still the vault's: whoever unseals has just logged the use in
    a transaction in which they were. Data sealed with outdated keys can't be unsealed, so nothing leaks.
    """

    def __init__(
        self,
        *,
        store: SecretStore,
        keys: Callable[[], Keys],
        keys_after_the_look: Callable[[], Keys],
        vault_id: Callable[[], str],
        clock: Clock,
        randomness: Randomness,
        authenticated: bool,
    ) -> None:
        self._store = store
        self._keys = keys
        self._keys_after_the_look = keys_after_the_look
        self._vault_id = vault_id
        self._clock = clock
        self._randomness = randomness
        self._authenticated = authenticated
        # By ref, which differs for each value.
        self._maskable: dict[str, bool] = {}

    def put(self, connection: Connection, field: str, value: str, destination: Destination) -> None:
        """Seals `value` and stores it, in the caller's transaction.

        Raises: AuthenticationOff, VaultLocked, VaultNotSetUp, StorageError.
        """
        if not self._authenticated:
            raise AuthenticationOff
        keys = self._keys()
        context = destination.seal_context(self._vault_id(), connection, field)
        ref = SecretRef(new_id(self._randomness))
        self._maskable[ref] = maskable(value)
        self._store.put(
            SealedSecret(
                ref=ref,
                connection_id=ConnectionId(connection.id),
                field=field,
                envelope=keys.seal(value.encode(), context),
                set_at=self._clock(),
            )
        )

    def unseal(self, connection: Connection, sealed: SealedSecret, destination: Destination) -> str:
        """The secret itself. The caller has already logged the use.

        Raises: VaultLocked, VaultNotSetUp, SecretInvalid.
        """
        keys = self._keys_after_the_look()
        return opened(keys, self._vault_id(), connection, sealed, destination).decode()

    def is_maskable(
        self, connection: Connection, sealed: SealedSecret, destination: Destination
    ) -> bool | None:
        """Whether `guessability` allows masking it; `None`: the vault is locked, or the secret can't be unsealed.

        Computed once for each value and never stored: whoever can read the database must not learn it.
        """
        if sealed.ref not in self._maskable:
            try:
                self._maskable[sealed.ref] = maskable(self.unseal(connection, sealed, destination))
            except (VaultLocked, VaultNotSetUp, SecretInvalid):
                return None
        return self._maskable[sealed.ref]

    def of(self, connection_id: str) -> Sequence[SealedSecret]:
        """The sealed secrets of one connection."""
        return self._store.of(connection_id)

    def all(self) -> Sequence[SealedSecret]:
        """The sealed secrets of all connections."""
        return self._store.all()

    def remove(self, connection_id: str, field: str) -> bool:
        """Returns whether there was one. Also works while the vault is locked."""
        return self._store.remove(connection_id, field)


def opened(
    keys: Keys, vault_id: str, connection: Connection, sealed: SealedSecret, destination: Destination
) -> bytes:
    """Unseals for this destination, or for the one under an earlier default. Raises: SecretInvalid."""
    try:
        return keys.unseal(sealed.envelope, destination.seal_context(vault_id, connection, sealed.field))
    except SecretInvalid:
        earlier = destination.earlier_context(vault_id, connection, sealed.field)
        if earlier is None:
            raise
    return keys.unseal(sealed.envelope, earlier)
