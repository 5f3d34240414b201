"""ProposalsService: what code suggests for the form of a new connection, for a few minutes, in memory only.

A suggestion connects nothing and holds no secret. It exists so that a form never takes values from a document: every
suggestion that a page shows was made by a process that still runs, and names it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

from ...contracts.access import Requester
from ...contracts.proposals import Proposal, ProposalRef, Propose, Proposed
from ...contracts.providers import ProviderDefinition
from ...contracts.secret_words import secret_values
from ...errors import (
    InvalidFields,
    ProposalNotFound,
    ProviderNotFound,
    SecretInCode,
    TooManyProposals,
)
from ..access.refusal_log import RefusalLog
from ..context import Context
from ..identifiers import new_ref
from ..ports import ProviderRegistry, RunningRequesters
from ..short_memory import throttle_key
from ..visible_names import is_visible

# Long enough to read a cell's output and to click; a link in a notebook that is opened tomorrow shows nothing.
KEPT_S = 600

# Per notebook, and for all processes outside kernels together: more than a person reviews in that time. Each is
# logged, so this also limits the activity log.
MAX_OF_ONE = 16
MAX_IN_ALL = 128

# All texts of one suggestion together: a few certificates and a page of fields.
MAX_CHARS = 16_384

_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True)
class _Kept:
    requester: Requester
    asked: Propose
    at: datetime

    @property
    def until(self) -> datetime:
        return self.at + timedelta(seconds=KEPT_S)


class ProposalsService:
    """All methods are called with the lock held."""

    def __init__(
        self,
        *,
        context: Context,
        registry: ProviderRegistry,
        running: RunningRequesters,
        refusal_log: RefusalLog,
    ) -> None:
        self._registry = registry
        self._running = running
        self._refusal_log = refusal_log
        self._audit = context.audit
        self._clock = context.clock
        self._randomness = context.randomness
        self._kept: dict[str, _Kept] = {}

    def propose(self, requester: Requester, request: Propose) -> Proposed:
        """Keeps a suggestion. If the same run repeats it, it keeps its id and its time starts again.

        Raises: ProviderNotFound, InvalidFields, SecretInCode, TooManyProposals, StorageError.
        """
        try:
            asked = self._checked(request)
            self._forget_old()
            same = self._same(requester, asked)
            if same is None:
                self._make_room(requester)
        except (SecretInCode, TooManyProposals) as exc:
            self._refusal_log.note(requester, None, exc)
            raise
        if same is None:
            self._audit.record("connection:proposed", requester=requester, durable=False)
        proposal_id = same or f"proposal-{new_ref(self._randomness)}"
        kept = self._kept[proposal_id] = _Kept(requester, asked, self._clock())
        return Proposed(id=proposal_id, expires_at=kept.until)

    def get(self, request: ProposalRef) -> Proposal:
        """What a person is shown, with the notebook's present name.

        Raises: ProposalNotFound: it has expired, its process has ended, or it never existed.
        """
        self._forget_old()
        kept = self._kept.get(request.id)
        if kept is None or not self._running.instance_alive(kept.requester.instance):
            raise ProposalNotFound
        return Proposal(
            id=request.id,
            provider_id=kept.asked.provider_id,
            name=kept.asked.name,
            fields=kept.asked.fields,
            requester=self._running.current(kept.requester),
            proposed_at=kept.at,
            expires_at=kept.until,
        )

    def _checked(self, request: Propose) -> Propose:
        """The request, with its texts converted to the fields' types."""
        if request.provider_id is None:
            if request.fields:
                raise InvalidFields(
                    "Fields belong to a kind of connection. Name the kind.",
                    errors=[{"path": "provider_id", "message": "is missing"}],
                )
            return request
        provider = self._registry.get(request.provider_id)
        if provider is None:
            raise ProviderNotFound
        plain = provider.field_schemas.keys() - provider.secret_fields
        if secret_values(request.fields, secret_fields=provider.secret_fields, plain_fields=plain):
            raise SecretInCode(provider=provider.id)
        values = {
            name: _read(provider.field_schemas.get(name, {}), value) for name, value in request.fields.items()
        }
        if wrong := self._wrong(provider, values):
            raise InvalidFields(errors=[{"path": path, "message": wrong[path]} for path in sorted(wrong)])
        return request.model_copy(update={"fields": values})

    def _wrong(self, provider: ProviderDefinition, values: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with the given values, by path. Missing ones are entered by the person."""
        known = provider.field_schemas
        wrong = {f"fields.{name}": "is unknown" for name in values.keys() - known.keys()}
        for name, value in values.items():
            text = value if isinstance(value, str) else ""
            lines = text.splitlines() if known.get(name, {}).get("x-multiline") is True else [text]
            if not all(is_visible(line) for line in lines):
                wrong.setdefault(f"fields.{name}", "contains invisible characters")
        if sum(len(value) for value in values.values() if isinstance(value, str)) > MAX_CHARS:
            wrong["fields"] = "is too long"
        given = {name: value for name, value in values.items() if name in known}
        for error in self._registry.check(provider, given):
            if error.path.removeprefix("fields.") in given:
                wrong.setdefault(error.path, error.message)
        return wrong

    def _same(self, requester: Requester, asked: Propose) -> str | None:
        for proposal_id, kept in self._kept.items():
            if kept.requester.instance == requester.instance and kept.asked == asked:
                return proposal_id
        return None

    def _make_room(self, requester: Requester) -> None:
        mine = throttle_key(requester)
        if (
            sum(throttle_key(kept.requester) == mine for kept in self._kept.values()) >= MAX_OF_ONE
            or len(self._kept) >= MAX_IN_ALL
        ):
            raise TooManyProposals

    def _forget_old(self) -> None:
        # Those of ended runs stay until they expire too: otherwise a loop of short processes would log event after
        # event.
        now = self._clock()
        self._kept = {proposal_id: kept for proposal_id, kept in self._kept.items() if kept.until > now}


def _read(schema: Mapping[str, Any], value: Any) -> Any:
    """Converts a text to the field's type: a magic's `port=5433` is a number. What can't be converted stays as it
    is."""
    kind = schema.get("type")
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        return value
    text = value.strip()
    if kind == "boolean" and text.lower() in _YES | _NO:
        return text.lower() in _YES
    if kind in ("integer", "number"):
        with suppress(ValueError):
            return int(text)
        with suppress(ValueError):
            number = float(text)
            return number if isfinite(number) else value
    return value
