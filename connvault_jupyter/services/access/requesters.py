"""Everything known about requesters: which ones run, what they claim, what they were refused. No rules here."""

from __future__ import annotations

from dataclasses import dataclass

from ..ports import RunningRequesters
from ..requester_claims import Claims
from .refusal_log import RefusalLog


@dataclass(frozen=True, kw_only=True)
class Requesters:
    """Bundles these as one argument."""

    running: RunningRequesters
    claims: Claims
    refusal_log: RefusalLog
