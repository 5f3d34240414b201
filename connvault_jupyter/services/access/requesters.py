"""All that is known of who asks: who runs, what they claim, what they were refused. No rule is here."""

from __future__ import annotations

from dataclasses import dataclass

from ..claims import Claims
from ..ports import RunningRequesters
from .refusal_log import RefusalLog


@dataclass(frozen=True, kw_only=True)
class Requesters:
    """One argument for whoever answers requesters."""

    running: RunningRequesters
    claims: Claims
    refusal_log: RefusalLog
