"""The hash chain of the activity log: how an event is linked, and what is wrong with one. Pure; no store, no clock.

Format 1: `digest = SHA-256("connvault-audit-1\\0" || previous digest || body)`, `mac` over the digest. A change of
format needs another prefix and a checkpoint between the two.

A MAC is by the keys of its generation, and generations never decrease along the chain. The last event of each
generation is sealed by the keys that followed: it must be there, and no event by earlier keys may come after it. So
whoever has earlier keys can't add events, replace ones that were cut off, or forge a checkpoint.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from ...contracts.audit import AuditEvent
from ..canonical import canonical_contract
from ..ports import ChainLink, Checkpoint, Position
from ..secrets.generations import FROM_BEFORE, Unlocked
from ..vault_ports import RecordKeys

_DOMAIN = b"connvault-audit-1\0"
_CHECKPOINT_DOMAIN = b"connvault-audit-checkpoint-1\0"
_STATEMENT_DOMAINS = {"export": b"connvault-audit-export-1\0", "head": b"connvault-audit-head-1\0"}

# What the first event follows.
_BEGINNING = Position()


@dataclass
class Walk:
    """Walks along the chain, oldest event first. `anchor` is an event that was seen earlier and must still be there.

    `broken_at` is the first sequence at which something is wrong. `keyed`: the last event and the checkpoint carry
    their MACs, which cover all events between.
    """

    anchor: Position
    position: Position = _BEGINNING
    first: int = 1
    events: int = 0
    broken_at: int | None = None
    _last_is_keyed: bool = False
    _generation: int = FROM_BEFORE
    _start_is_keyed: bool = True

    @property
    def keyed(self) -> bool:
        return self._last_is_keyed and self._start_is_keyed

    def begin_at(self, start: Checkpoint | None, keys: Unlocked | None) -> None:
        """Starts after the checkpoint, or continues after it if events were pruned during the walk."""
        if start is None or start.sequence <= self.position.sequence:
            return
        self.position = Position(start.sequence, start.digest)
        if not checkpoint_fits(start, keys) or not _is_of(_ends_by_sequence(keys), self.position):
            self.broken_at = start.sequence
        self._start_is_keyed = start.mac is not None
        self.first, self.events = start.sequence + 1, 0

    def follow(self, links: Iterable[ChainLink], keys: Unlocked | None) -> None:
        """Checks `links` until something is wrong."""
        if keys is not None and not keys.complete:
            self.broken_at = self.position.sequence + 1
        ends = _ends_by_sequence(keys)
        for found in links:
            if self.broken_at is not None:
                return
            generation = generation_of(found)
            if (
                not fits(found, self.position, keys)
                or (generation or self._generation) < self._generation
                or not _in_time(found.event.sequence, generation, keys)
            ):
                self.broken_at = self.position.sequence + 1
                return
            self._generation = generation or self._generation
            self.position = Position(found.event.sequence, found.digest)
            self.events += 1
            self._last_is_keyed = found.mac is not None
            replaced = self.position.sequence == self.anchor.sequence and self.position != self.anchor
            if replaced or not _is_of(ends, self.position):
                self.broken_at = self.position.sequence

    def end_at(self, head: Position, keys: Unlocked | None) -> None:
        """There are no more events. `head` was read before the last of them, so the walk must have reached at least
        that."""
        short = max(head.sequence, self.anchor.sequence, *_ends_by_sequence(keys)) > self.position.sequence
        if short or (head.sequence == self.position.sequence and head != self.position):
            self.broken_at = self.position.sequence + 1


def _ends_by_sequence(keys: Unlocked | None) -> Mapping[int, bytes]:
    """The digest of the last event of each earlier generation."""
    return {} if keys is None else {end.sequence: end.digest for end in keys.ends.values()}


def _is_of(ends: Mapping[int, bytes], position: Position) -> bool:
    """If the keys changed here: whether this is the event that was last at that time."""
    return ends.get(position.sequence, position.digest) == position.digest


def _in_time(sequence: int, generation: int | None, keys: Unlocked | None) -> bool:
    """Whether its keys were still valid at that point; if their end was not noted, that of a later generation
    counts."""
    if keys is None or generation is None:
        return True
    return all(end.sequence >= sequence for following, end in keys.ends.items() if following >= generation)


def generation_of(found: ChainLink) -> int | None:
    """The generation whose keys made the MAC; `None`: there is none."""
    return None if found.mac is None else FROM_BEFORE if found.generation is None else found.generation


def link(event: AuditEvent, previous: bytes, keys: Unlocked | None) -> ChainLink:
    """`event`, linked to `previous`; without keys it has no MAC of its own."""
    body = canonical_contract(event)
    digest = digest_of(previous, body)
    return ChainLink(
        event=event,
        body=body,
        previous=previous,
        digest=digest,
        mac=None if keys is None else keys.keys.mac("audit", digest),
        generation=None if keys is None else keys.generation,
    )


def digest_of(previous: bytes, body: bytes) -> bytes:
    """The digest of the event with this body, after the one with the digest `previous`."""
    return hashlib.sha256(_DOMAIN + previous + body).digest()


def vouched(position: Position, mac: bytes | None, generation: int | None, keys: Unlocked) -> bool:
    """Whether the keys say nothing against an event kept elsewhere: its MAC is right and was made in time, and if it
    was the last of its generation, it is that one. An event without a MAC is not proven by this."""
    if not keys.complete or not _is_of(_ends_by_sequence(keys), position):
        return False
    if mac is None:
        return True
    generation = FROM_BEFORE if generation is None else generation
    made_by = keys.of(generation)
    return (
        made_by is not None
        and hmac.compare_digest(mac, made_by.mac("audit", position.digest))
        and _in_time(position.sequence, generation, keys)
    )


def is_end(position: Position, keys: Unlocked) -> bool:
    """Whether it is the last event of an earlier generation: the keys that followed vouch for it and all before."""
    return _ends_by_sequence(keys).get(position.sequence) == position.digest


StatementKind = Literal["export", "head"]


def statement_mac(kind: StatementKind, text: str, keys: RecordKeys) -> bytes:
    """The MAC of what the vault states about its log: where it ends, or what was exported from it."""
    return keys.mac("audit", _STATEMENT_DOMAINS[kind] + text.encode())


def statement_fits(kind: StatementKind, text: str, mac: bytes, generation: int, keys: Unlocked) -> bool:
    """Whether the keys of this generation made it. Whoever has those of an earlier one can make one at any time."""
    made_by = keys.of(generation)
    return made_by is not None and hmac.compare_digest(mac, statement_mac(kind, text, made_by))


def fits(found: ChainLink, position: Position, keys: Unlocked | None) -> bool:
    """Whether `found` follows `position`, unchanged; its MAC is checked if there are keys."""
    if found.event.sequence != position.sequence + 1 or found.previous != position.digest:
        return False
    # The displayed event and the hashed body are stored separately: editing either must be noticed.
    if canonical_contract(found.event) != found.body:
        return False
    if digest_of(found.previous, found.body) != found.digest:
        return False
    generation = generation_of(found)
    if keys is None or found.mac is None or generation is None:
        return True
    made_by = keys.of(generation)
    return made_by is not None and hmac.compare_digest(found.mac, made_by.mac("audit", found.digest))


def checkpoint(sequence: int, digest: bytes, keys: Unlocked | None) -> Checkpoint:
    """The checkpoint from which the chain verifies after pruning up to and including `sequence`."""
    return Checkpoint(
        sequence=sequence,
        digest=digest,
        mac=None if keys is None else keys.keys.mac("audit", _checkpoint_message(sequence, digest)),
    )


def checkpoint_fits(found: Checkpoint, keys: Unlocked | None) -> bool:
    """Whether a holder of the keys made the checkpoint; without keys or MAC it is accepted."""
    if keys is None or found.mac is None:
        return True
    return hmac.compare_digest(
        found.mac, keys.keys.mac("audit", _checkpoint_message(found.sequence, found.digest))
    )


def _checkpoint_message(sequence: int, digest: bytes) -> bytes:
    return _CHECKPOINT_DOMAIN + sequence.to_bytes(8, "big") + digest
