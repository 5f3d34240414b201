"""The ports of the vault: keys, key slots, holders of their secrets, and what is stored of both. No implementation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import field as attribute
from datetime import datetime
from typing import Any, Literal, Protocol

from ..contracts.vault import CustodianKind
from .ports import Position

# NIST SP 800-63B asks for at least 8 where guessing can be slowed down; here the wrapped key, or the file, may be
# copied and attacked offline.
MINIMUM_PASSPHRASE_CHARS = 10


@dataclass(frozen=True)
class SealContext:
    """The context to which a sealed secret is bound (the associated data of the envelope).

    `destination` holds name and value of every destination field of the provider. Changing any part makes unsealing
    fail.
    """

    vault_id: str
    scope: str
    connection_id: str
    field: str
    provider_id: str
    destination: Mapping[str, Any]


MacPurpose = Literal["grant", "audit", "document", "claim", "slot"]
"""`document`: a whole connection; `claim`: what a requester says about itself, so that equal claims can be
recognised; `slot`: a key slot, and the list of them."""


class RecordKeys(Protocol):
    """What is kept of the keys of an earlier generation: verifies and reads logged events, unseals no secret."""

    @property
    def generation(self) -> int:
        """The generation of the vault's keys, counted from 1."""

    def mac(self, purpose: MacPurpose, message: bytes) -> bytes:
        """32 bytes; the keys of the purposes are independent. Kept are `audit` and `claim`.

        Raises: KeyError: not kept."""

    def unseal_claim(self, envelope: bytes, context: bytes) -> bytes:
        """Raises: SecretInvalid: another key, another context, an unknown version, or damage."""


class OlderKeys(RecordKeys, Protocol):
    """The keys of a generation that has ended."""

    @property
    def ended(self) -> Position | None:
        """The last audit event when it ended; `None`: kept by a version that did not note it."""


class Keys(RecordKeys, Protocol):
    """Keys derived from one master key. Seals, unseals and authenticates; never shows a key."""

    def seal(self, secret: bytes, context: SealContext) -> bytes:
        """A versioned envelope with a fresh nonce."""

    def unseal(self, envelope: bytes, context: SealContext) -> bytes:
        """Raises: SecretInvalid: another key, another context, an unknown version, or damage."""

    def seal_claim(self, text: bytes, context: bytes) -> bytes:
        """A versioned envelope of a short text (a claim, a reason), under a key for such texts only.

        Its length depends only on the length of `text`: pad it first if that must stay unknown."""

    def wrap(self, older: Keys, envelope: bytes, context: SealContext) -> bytes:
        """Wraps an envelope that `older` sealed and that can't be unsealed now (its provider is gone).

        Only these keys unseal it from now on, in the context for which it was sealed. `context` needs no destination.

        Raises: SecretInvalid: it is not an envelope, or was wrapped earlier and changed since."""

    def keep_record(self, older: RecordKeys, vault_id: str, ended: Position | None) -> bytes:
        """An envelope of what `older` needs to verify and read its audit events, and of its last event; nothing in it
        unseals a secret."""

    def record_keys(self, envelope: bytes, generation: int, vault_id: str) -> OlderKeys:
        """Raises: SecretInvalid: it belongs to another generation or vault, or is damaged."""


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One way to unwrap the master key, as stored. Nothing in it is secret by itself.

    `parameters` belongs to the custodian of this `kind` (salt, costs, wrapped secret), which holds the slot's secret of
    32 bytes. From the secret follows the private key of `public_key`, to which the master key is `wrapped`. `mac`
    covers what does not change with the master key: it is by the vault's keys, so only who had them open can have made
    the slot. `pin` is by the slot's secret, over keys of the generation `pinned`: the last one that this slot opened.
    """

    id: str
    kind: CustodianKind
    label: str
    created_at: datetime
    public_key: bytes = attribute(repr=False)
    parameters: Mapping[str, Any] = attribute(repr=False)
    wrapped: bytes = attribute(default=b"", repr=False)
    mac: bytes = attribute(default=b"", repr=False)
    pinned: int = 0
    pin: bytes = attribute(default=b"", repr=False)


@dataclass(frozen=True)
class HeldByOne:
    """How a vault from before key slots keeps its master key: with one custodian, which holds the key itself."""

    kind: CustodianKind
    parameters: Mapping[str, Any] = attribute(repr=False)


@dataclass(frozen=True, kw_only=True)
class VaultRecord:
    """What is stored of the vault. Either it has slots, or `before_slots` says how it is kept until it is unlocked."""

    vault_id: str
    slots: tuple[Slot, ...] = ()
    slots_mac: bytes = attribute(default=b"", repr=False)
    """Covers number and order of the genuine slots."""
    before_slots: HeldByOne | None = None
    check: bytes = attribute(repr=False)
    """Tells a right master key from a wrong one, for this vault, generation and salt."""
    created_at: datetime
    generation: int = 1
    """The generation of the keys. 1: made before connections carried MACs; new vaults start with 2, and each new set
    of keys adds one."""
    salt: bytes = attribute(default=b"", repr=False)
    """Random for each generation except the first, so that no two have the same keys."""
    older: Mapping[int, bytes] = attribute(default_factory=dict, repr=False)
    """By earlier generation, what still verifies and reads its audit events (`Keys.keep_record`)."""

    @property
    def epoch(self) -> bytes:
        """What the keys are bound to in addition to the vault id; empty for the first generation."""
        return b"" if self.generation == 1 else self.generation.to_bytes(8, "big") + self.salt


@dataclass(frozen=True)
class Availability:
    available: bool
    label: str
    detail: str


class Custodian(Protocol):
    """Holder of a key of 32 bytes: of a slot's secret. Slow: call it without holding a lock.

    `name` says whose it is: `<vault id>.<slot id>`, or the vault id alone for a vault's first slot. Letters, digits,
    `-`, `_` and `.`.
    """

    @property
    def kind(self) -> CustodianKind: ...

    def availability(self) -> Availability:
        """Cheap; never prompts, never writes."""

    def keep(self, name: str, key: bytes, passphrase: str | None) -> Mapping[str, Any]:
        """Takes a new key into custody; returns the parameters to store.

        Raises: CustodianUnavailable, WeakPassphrase."""

    def recover(self, name: str, parameters: Mapping[str, Any], passphrase: str | None) -> bytes:
        """The key. Raises: WrongPassphrase, CustodianUnavailable."""

    def forget(self, name: str, parameters: Mapping[str, Any]) -> None:
        """Undoes `keep` (a lost setup race, a removed slot). Never raises."""


class SlotKeys(Protocol):
    """What a slot's secret and public key are for. `place`: the canonical bytes of vault id and slot id."""

    def public_key(self, secret: bytes, place: bytes) -> bytes:
        """The X25519 public key that belongs to a slot's secret, 32 bytes."""

    def wrap(self, master_key: bytes, public_key: bytes, place: bytes, generation: int) -> bytes:
        """The master key of this generation, for whoever has the secret of the public key.

        Raises: SecretInvalid: this is no public key."""

    def unwrap(self, wrapped: bytes, secret: bytes, place: bytes, generation: int) -> bytes:
        """The master key. Raises: SecretInvalid."""

    def pin(self, secret: bytes, place: bytes, message: bytes) -> bytes:
        """A MAC by a slot's secret, 32 bytes."""


class ExportFiles(Protocol):
    """Files that leave this machine, under a passphrase of their own. Slow: call it without holding a lock."""

    def sealed(self, content: bytes, passphrase: str) -> str:
        """The text of the file. Raises: WeakPassphrase, ExportTooLarge, CustodianUnavailable."""

    def opened(self, text: str, passphrase: str) -> bytes:
        """The content. Raises: ExportFileInvalid, WrongPassphrase, CustodianUnavailable."""


DeriveKeys = Callable[[bytes, str, bytes], Keys]
"""(master key of 32 bytes, vault id, `VaultRecord.epoch`) -> Keys"""

CheckValue = Callable[[bytes, str, bytes], bytes]
"""(master key, vault id, epoch) -> `VaultRecord.check`"""


@dataclass(frozen=True, kw_only=True)
class VaultPorts:
    """What the `vault` package implements: the custodians, and deriving keys from a master key."""

    custodians: Mapping[CustodianKind, Custodian]
    derive_keys: DeriveKeys
    check_value: CheckValue
    slot_keys: SlotKeys
    export_files: ExportFiles


class VaultStore(Protocol):
    def load(self) -> VaultRecord | None: ...

    def check(self) -> bytes | None:
        """Only `VaultRecord.check`: read whenever anything was changed."""

    def create(self, record: VaultRecord) -> bool:
        """False, storing nothing, if there is a record already. In the caller's transaction."""

    def replace(self, record: VaultRecord) -> None: ...
