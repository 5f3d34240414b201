"""Generations of a vault's keys: the one that a vault record describes, and the record of the next one. Pure; stores
nothing.

Each generation has its own keys, from another master key and another salt. Everything sealed or MAC-ed is renewed for
the next one (`rekeying`); of the old keys only those of the activity log are kept, together with the last event for
which they are valid (`audit.chain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property

from ...errors import SecretInvalid
from ..ports import Position
from ..vault_ports import (
    CheckValue,
    DeriveKeys,
    Keys,
    OlderKeys,
    RecordKeys,
    VaultRecord,
)

# A vault that was made before connections carried MACs. Only this number says so, because everything else could be
# restored by whoever edits rows: a vault of a later generation that is made to look like this one has other keys.
FROM_BEFORE = 1

FIRST = FROM_BEFORE + 1

SALT_BYTES = 32


@dataclass(frozen=True)
class Unlocked:
    """The keys of an unlocked vault. `check` says whether they still belong to the vault as it is stored."""

    keys: Keys
    check: bytes
    older: Mapping[int, OlderKeys]

    @property
    def generation(self) -> int:
        """The generation of `keys`."""
        return self.keys.generation

    def of(self, generation: int) -> RecordKeys | None:
        """The keys that verify and read audit events of this generation; `None`: never kept, or damaged."""
        return self.keys if generation == self.generation else self.older.get(generation)

    @cached_property
    def ends(self) -> Mapping[int, Position]:
        """The last audit events of earlier generations, as far as they were noted."""
        return {generation: kept.ended for generation, kept in self.older.items() if kept.ended is not None}

    @property
    def complete(self) -> bool:
        """Whether the previous generation is still in the vault's record; its end anchors everything before it. This
        can't be told of a vault's first two generations: it may have begun with either."""
        return self.generation <= FIRST or self.generation - 1 in self.older


def opened(record: VaultRecord, master_key: bytes, derive_keys: DeriveKeys) -> Unlocked:
    """The keys of `record`."""
    keys = derive_keys(master_key, record.vault_id, record.epoch)
    older = {}
    for generation, kept in record.older.items():
        # A damaged one is left out: its events then fail to verify, which is what must be reported.
        with suppress(SecretInvalid):
            older[generation] = keys.record_keys(kept, generation, record.vault_id)
    return Unlocked(keys=keys, check=record.check, older=older)


def succeeding(
    record: VaultRecord,
    old: Unlocked,
    master_key: bytes,
    *,
    salt: bytes,
    ended: Position,
    derive_keys: DeriveKeys,
    check_value: CheckValue,
) -> tuple[VaultRecord, Unlocked]:
    """The vault record of the next generation, still without slots, and its keys. `ended`: the last audit event, read
    in the transaction in which the keys change, so that no event by the old keys can follow."""
    following = VaultRecord(
        vault_id=record.vault_id,
        check=b"",
        created_at=record.created_at,
        generation=record.generation + 1,
        salt=salt,
    )
    keys = derive_keys(master_key, record.vault_id, following.epoch)
    kept: dict[int, tuple[RecordKeys, Position | None]] = {
        **{generation: (of_then, of_then.ended) for generation, of_then in old.older.items()},
        old.generation: (old.keys, ended),
    }
    following = replace(
        following,
        check=check_value(master_key, record.vault_id, following.epoch),
        older={
            generation: keys.keep_record(of_then, record.vault_id, its_end)
            for generation, (of_then, its_end) in kept.items()
        },
    )
    return following, opened(following, master_key, derive_keys)
