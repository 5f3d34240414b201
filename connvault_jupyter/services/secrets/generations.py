"""Generations of a vault's keys: which a record stands for, and the record of the next one. Pure; nothing is stored.

Each generation has keys of its own: another master key after a changed passphrase, another salt in any case. What it
sealed and MAC-ed is made anew for the next one (`rekeying`); of its keys only those of the record are kept, together
with the last row that they are good for (`audit.chain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

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

# A vault that was made before connections carried MACs. Nothing else tells it, because everything else could be put
# back by whoever edits rows: a vault of a later generation that is made to look like this one has other keys.
FROM_BEFORE = 1

FIRST = FROM_BEFORE + 1

SALT_BYTES = 32


@dataclass(frozen=True)
class Unlocked:
    """The keys of an unlocked vault. `check` tells whether they are still those of the vault as it is stored."""

    keys: Keys
    check: bytes
    older: Mapping[int, OlderKeys]

    @property
    def generation(self) -> int:
        """That of `keys`."""
        return self.keys.generation

    def of(self, generation: int) -> RecordKeys | None:
        """What verifies and reads rows of the record of this generation; `None`: it was never kept, or is damaged."""
        return self.keys if generation == self.generation else self.older.get(generation)

    @cached_property
    def ends(self) -> Mapping[int, Position]:
        """Where the record was when earlier generations ended, as far as that was noted."""
        return {generation: kept.ended for generation, kept in self.older.items() if kept.ended is not None}

    @property
    def complete(self) -> bool:
        """Whether nobody has taken the generation before out of the vault's record, whose end holds all before it in
        place. Of a vault's first two that can't be told: it may have begun with either."""
        return self.generation <= FIRST or self.generation - 1 in self.older


def opened(record: VaultRecord, master_key: bytes, derive_keys: DeriveKeys) -> Unlocked:
    """The keys of `record`."""
    keys = derive_keys(master_key, record.vault_id, record.epoch)
    older = {}
    for generation, kept in record.older.items():
        # One that was damaged is missing: its rows do not verify any more, which is what has to be told.
        with suppress(SecretInvalid):
            older[generation] = keys.record_keys(kept, generation, record.vault_id)
    return Unlocked(keys=keys, check=record.check, older=older)


def succeeding(
    record: VaultRecord,
    old: Unlocked,
    master_key: bytes,
    *,
    parameters: Mapping[str, Any],
    salt: bytes,
    ended: Position,
    derive_keys: DeriveKeys,
    check_value: CheckValue,
) -> tuple[VaultRecord, Unlocked]:
    """The record of the next generation, and its keys. `ended`: the last row of the record, in the transaction in which
    the keys change: no row by the old ones follows."""
    following = replace(record, parameters=parameters, generation=record.generation + 1, salt=salt, older={})
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
