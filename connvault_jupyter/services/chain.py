"""The hash chain of the record: how a row is linked, and what is wrong with a row. Pure; no store, no clock.

Format 1: `digest = SHA-256("connvault-audit-1\\0" || previous digest || body)`, `mac` over the digest. A change of
format needs another prefix and a checkpoint between the two.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass

from ..contracts.audit import AuditEvent
from .canonical import canonical_contract
from .ports import ChainLink, Checkpoint, Keys

_DOMAIN = b"connvault-audit-1\0"
_CHECKPOINT_DOMAIN = b"connvault-audit-checkpoint-1\0"

# What the first row follows.
ORIGIN = bytes(32)


@dataclass(frozen=True)
class Position:
    """A place in the chain: the last row that was looked at."""

    sequence: int = 0
    digest: bytes = ORIGIN


@dataclass
class Walk:
    """A walk along the chain, oldest row first. `anchor` is a row that was seen before and must still be there.

    `broken_at` is the first sequence at which something is wrong. `keyed`: the last row and the mark where pruning cut
    carry their MACs, so all rows between are covered by them.
    """

    anchor: Position
    position: Position = Position()
    first: int = 1
    events: int = 0
    broken_at: int | None = None
    _last_is_keyed: bool = False
    _start_is_keyed: bool = True

    @property
    def keyed(self) -> bool:
        return self._last_is_keyed and self._start_is_keyed

    def begin_at(self, start: Checkpoint | None, keys: Keys | None) -> None:
        """Starts behind the mark, or goes on behind it if rows were pruned during the walk."""
        if start is None or start.sequence <= self.position.sequence:
            return
        if not checkpoint_fits(start, keys):
            self.broken_at = start.sequence
        self._start_is_keyed = start.mac is not None
        self.position = Position(start.sequence, start.digest)
        self.first, self.events = start.sequence + 1, 0

    def follow(self, links: Iterable[ChainLink], keys: Keys | None) -> None:
        """Goes along `links` until something is wrong."""
        for found in links:
            if self.broken_at is not None:
                return
            if not fits(found, self.position, keys):
                self.broken_at = self.position.sequence + 1
                return
            self.position = Position(found.event.sequence, found.digest)
            self.events += 1
            self._last_is_keyed = found.mac is not None
            if self.position.sequence == self.anchor.sequence and self.position != self.anchor:
                self.broken_at = self.position.sequence

    def end_at(self, head: Position) -> None:
        """There are no more rows. `head` was read before the last of them: the walk must have come as far at least."""
        short = max(head.sequence, self.anchor.sequence) > self.position.sequence
        if short or (head.sequence == self.position.sequence and head != self.position):
            self.broken_at = self.position.sequence + 1


def link(event: AuditEvent, previous: bytes, keys: Keys | None) -> ChainLink:
    """`event` as the row that follows `previous`; without keys it has no MAC of its own."""
    body = canonical_contract(event)
    digest = hashlib.sha256(_DOMAIN + previous + body).digest()
    return ChainLink(
        event=event,
        body=body,
        previous=previous,
        digest=digest,
        mac=None if keys is None else keys.mac("audit", digest),
    )


def fits(found: ChainLink, position: Position, keys: Keys | None) -> bool:
    """Whether `found` is the row that follows `position`, unchanged; the MAC is looked at where there are keys."""
    if found.event.sequence != position.sequence + 1 or found.previous != position.digest:
        return False
    # The shown event and the hashed body are stored apart: editing either must be noticed.
    if canonical_contract(found.event) != found.body:
        return False
    if hashlib.sha256(_DOMAIN + found.previous + found.body).digest() != found.digest:
        return False
    if keys is None or found.mac is None:
        return True
    return hmac.compare_digest(found.mac, keys.mac("audit", found.digest))


def checkpoint(sequence: int, digest: bytes, keys: Keys | None) -> Checkpoint:
    """The mark from which the chain verifies after pruning up to and with `sequence`."""
    return Checkpoint(
        sequence=sequence,
        digest=digest,
        mac=None if keys is None else keys.mac("audit", _checkpoint_message(sequence, digest)),
    )


def checkpoint_fits(found: Checkpoint, keys: Keys | None) -> bool:
    """Whether a holder of the keys made the mark; without keys or MAC nothing can be said against it."""
    if keys is None or found.mac is None:
        return True
    return hmac.compare_digest(
        found.mac, keys.mac("audit", _checkpoint_message(found.sequence, found.digest))
    )


def _checkpoint_message(sequence: int, digest: bytes) -> bytes:
    return _CHECKPOINT_DOMAIN + sequence.to_bytes(8, "big") + digest
