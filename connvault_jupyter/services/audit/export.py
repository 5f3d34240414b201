"""What leaves the activity log for good: a part of it as a file, its head, and how such things compare with it later.

Nothing here shows more than the panel does: claims are sealed, or masked as for a person. Whether rows may be shown is
the door's decision.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from ...contracts.audit import (
    AuditHead,
    CompareAudit,
    ComparedAudit,
    ExportAudit,
    ExportedAudit,
    SeenClaims,
    SeenEvent,
    Statement,
)
from ...errors import Conflict, InvalidRequest
from ..ports import AuditStore, ChainLink, Clock, Lock, Position
from ..requester_claims import Claims
from ..secrets.generations import Unlocked
from . import chain, exported
from .exported import Record
from .service import AuditService

# Events per hold of the lock: about 5 ms, with their claims.
ROWS_AT_ONCE = 200

# Of one answer: a tenth of what a channel carries, even if every character takes three bytes.
MAX_TEXT_CHARS = 500_000

# With a filter that nothing fits, an answer must end too: about 0.2 s.
MAX_ROWS_READ = 5_000


class AuditExports:
    """Called without the lock; takes it for a few rows at a time."""

    def __init__(
        self,
        *,
        audit: AuditService,
        store: AuditStore,
        claims: Claims,
        keys: Callable[[], Unlocked | None],
        vault_id: Callable[[], str | None],
        clock: Clock,
        lock: Lock,
    ) -> None:
        self._audit = audit
        self._store = store
        self._claims = claims
        self._keys = keys
        self._vault_id = vault_id
        self._clock = clock
        self._lock = lock

    def part(self, asked: ExportAudit) -> ExportedAudit:
        """The next lines of the part that is asked for. The log may grow meanwhile; the part does not.

        Raises: InvalidRequest: `since` or `until` is no time, or `last` is missing where it continues.
            Conflict: the oldest events of the part were pruned meanwhile.
        """
        records: list[Record] = []
        if asked.after is None:
            header = self._header(asked)
            records.append(header)
            last, after = header["last"], header["first"] - 1
        else:
            if asked.last is None:
                raise InvalidRequest("To continue, send `last` as the previous answer gave it.")
            last, after = asked.last, asked.after
        text = exported.written(records, asked.format, first=asked.after is None)
        rows = 0
        while after < last and len(text) < MAX_TEXT_CHARS and rows < MAX_ROWS_READ:
            links, claims = self._rows(after, last, asked.connection_id)
            rows += len(links)
            text += exported.written(_records(links, claims, asked.connection_id), asked.format, first=False)
            # Rows that can't be read are left out: the gap remains in the file, as it does in the log.
            after = links[-1].event.sequence if links else last
        if after >= last:
            text += exported.written([{"record": "end", "last": last}], asked.format, first=False)
        return ExportedAudit(text=text, last=last, next_after=after if after < last else None)

    def head(self) -> AuditHead:
        """The end of the log now; MAC-ed if the vault is unlocked. Called with the lock held."""
        position, keys = self._audit.head(), self._keys()
        head = AuditHead(
            vault_id=self._vault_id(),
            sequence=position.sequence,
            digest=position.digest.hex(),
            at=self._clock().isoformat(),
        )
        if keys is None:
            return head
        head = head.model_copy(update={"generation": keys.generation})
        return head.model_copy(
            update={"mac": chain.statement_mac("head", exported.head_text(head), keys.keys).hex()}
        )

    def compare(self, asked: CompareAudit) -> ComparedAudit:
        """What keys and log say about events and statements that were kept elsewhere."""
        with self._lock:
            keys = self._keys()
            pruned = self._pruned()
            last = self._audit.head().sequence
            vault_id = self._vault_id()
        found: dict[str, list[int]] = {
            name: [] for name in ("forged", "ends", "claims", "differing", "missing")
        }
        for at in range(0, len(asked.events), ROWS_AT_ONCE):
            part = asked.events[at : at + ROWS_AT_ONCE]
            with self._lock:
                pruned = self._pruned()
                stored = self._digests(part)
                for seen in part:
                    for name in self._said_of(seen, keys, stored.get(seen.sequence), pruned):
                        found[name].append(seen.sequence)
        return ComparedAudit(
            vault_id=vault_id,
            generation=None if keys is None else keys.generation,
            last=last,
            pruned=pruned,
            **found,
            statements=[_right(statement, keys) for statement in asked.statements],
        )

    def _pruned(self) -> int:
        start = self._store.checkpoint()
        return 0 if start is None else start.sequence

    def _digests(self, part: Sequence[SeenEvent]) -> dict[int, bytes]:
        """By sequence, what the log has in their places."""
        numbers = [one.sequence for one in part]
        first, span = min(numbers), max(numbers) - min(numbers) + 1
        if span <= ROWS_AT_ONCE:
            links = [*self._store.chain(first - 1, span)]
        else:
            links = [one for number in numbers for one in self._store.chain(number - 1, 1)]
        return {one.event.sequence: one.digest for one in links}

    def _said_of(
        self, seen: SeenEvent, keys: Unlocked | None, stored: bytes | None, pruned: int
    ) -> list[str]:
        said = []
        position = Position(seen.sequence, bytes.fromhex(seen.digest))
        if keys is not None:
            mac = None if seen.mac is None else bytes.fromhex(seen.mac)
            if not chain.vouched(position, mac, seen.generation, keys):
                said.append("forged")
            elif chain.is_end(position, keys):
                said.append("ends")
            if seen.claims is not None and not self._shown_rightly(seen.claims):
                said.append("claims")
        if seen.sequence > pruned and stored != position.digest:
            said.append("missing" if stored is None else "differing")
        return said

    def _shown_rightly(self, claims: SeenClaims) -> bool:
        """Whether each text is the sealed one; one that was hidden then (the vault was locked) may be missing."""
        connection_id = claims.connection_id or ""
        if claims.agent is not None and (
            claims.agent_sealed is None
            or self._claims.shown("agent", connection_id, claims.agent_sealed)[0] != claims.agent
        ):
            return False
        return claims.reason is None or (
            claims.reason_sealed is not None
            and self._claims.shown("reason", connection_id, claims.reason_sealed)[0] == claims.reason
        )

    def _header(self, asked: ExportAudit) -> dict[str, Any]:
        with self._lock:
            first, last = self._range(asked)
            keys, head = self._keys(), self._audit.head()
            header: dict[str, Any] = {
                "record": exported.KIND,
                "version": exported.VERSION,
                "vault_id": self._vault_id(),
                "made_at": self._clock().isoformat(),
                "first": first,
                "last": last,
                "filter": None if asked.connection_id is None else {"connection_id": asked.connection_id},
                "start": self._digest_before(first),
                "end": self._digest_of(last, head),
                "head": {"sequence": head.sequence, "digest": head.digest.hex()},
                "claims_shown": keys is not None,
            }
            if keys is not None:
                header["generation"] = keys.generation
                text = exported.statement_text(header)
                header["mac"] = chain.statement_mac("export", text, keys.keys).hex()
        return header

    def _range(self, asked: ExportAudit) -> tuple[int, int]:
        """(first, last) sequence; `last` is one less if there is nothing in it."""
        start, head = self._store.checkpoint(), self._audit.head()
        first = max(asked.first or 1, 1 if start is None else start.sequence + 1)
        last = head.sequence if asked.last is None else min(asked.last, head.sequence)
        if asked.since is not None or asked.until is not None:
            span = self._store.span(_time(asked.since), _time(asked.until))
            if span is None:
                return head.sequence + 1, head.sequence
            first, last = max(first, span[0]), min(last, span[1])
        return (first, last) if first <= last else (head.sequence + 1, head.sequence)

    def _digest_before(self, first: int) -> str | None:
        if first == 1:
            return Position().digest.hex()
        head = self._audit.head()
        if first == head.sequence + 1:
            return head.digest.hex()
        links = self._store.chain(first - 1, 1)
        return links[0].previous.hex() if links and links[0].event.sequence == first else None

    def _digest_of(self, last: int, head: Position) -> str | None:
        if last == head.sequence:
            return head.digest.hex()
        links = self._store.chain(last - 1, 1)
        return links[0].digest.hex() if links and links[0].event.sequence == last else None

    def _rows(
        self, after: int, last: int, connection_id: str | None
    ) -> tuple[Sequence[ChainLink], dict[int, Record]]:
        """The next events, and by sequence the claims of those that are wanted."""
        with self._lock:
            start = self._store.checkpoint()
            if start is not None and start.sequence > after:
                raise Conflict(
                    "The oldest events were removed in the meantime, as the activity log is bounded. Export again."
                )
            found = self._store.chain(after, min(ROWS_AT_ONCE, last - after))
            links = [one for one in found if one.event.sequence <= last]
            claims = {
                one.event.sequence: self._claims_of(one)
                for one in links
                if _wanted(one, connection_id)
                and (one.event.agent_sealed is not None or one.event.reason_sealed is not None)
            }
        return links, claims

    def _claims_of(self, found: ChainLink) -> Record:
        shown = self._audit.shown(found.event)
        texts = {"agent": shown.agent, "reason": shown.reason_claim, "hidden": shown.claims_hidden}
        return {name: text for name, text in texts.items() if text is not None}


def _records(
    links: Sequence[ChainLink], claims: dict[int, Record], connection_id: str | None
) -> list[Record]:
    """The lines of these events; those left out one after the other are one line."""
    records: list[Record] = []
    begun: int | None = None
    for at, found in enumerate(links):
        sequence = found.event.sequence
        if _wanted(found, connection_id):
            record: dict[str, Any] = {"record": "event", "event": json.loads(found.body), **_seal(found)}
            if sequence in claims:
                record["claims"] = claims[sequence]
            records.append(record)
            continue
        begun = begun or sequence
        following = links[at + 1] if at + 1 < len(links) else None
        if following is None or following.event.sequence != sequence + 1 or _wanted(following, connection_id):
            records.append({"record": "left_out", "first": begun, "last": sequence, **_seal(found)})
            begun = None
    return records


def _seal(found: ChainLink) -> dict[str, Any]:
    seal: dict[str, Any] = {"digest": found.digest.hex()}
    if found.mac is not None:
        seal.update(generation=chain.generation_of(found), mac=found.mac.hex())
    return seal


def _wanted(found: ChainLink, connection_id: str | None) -> bool:
    return connection_id is None or found.event.connection_id == connection_id


def _right(statement: Statement, keys: Unlocked | None) -> bool | None:
    if keys is None:
        return None
    return chain.statement_fits(
        statement.kind, statement.text, bytes.fromhex(statement.mac), statement.generation, keys
    )


def _time(text: str | None) -> datetime | None:
    """Raises: InvalidRequest."""
    if text is None:
        return None
    try:
        # Python 3.10 reads neither `Z` nor fewer than six digits.
        moment, offset = (text[:-1], "+00:00") if text.endswith("Z") else (text[:-6], text[-6:])
        whole, _, fraction = moment.partition(".")
        return datetime.fromisoformat(f"{whole}.{fraction:0<6}{offset}")
    except ValueError:
        pass
    raise InvalidRequest("`since` and `until` are times like 2026-11-24T12:00:00Z.")
