"""What the verification of an exported part of the activity log finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

FaultKind = Literal[
    "not_an_export",
    "newer_format",
    "malformed",
    "wrong_order",
    "missing_events",
    "edited",
    "cut_start",
    "cut_end",
    "after_the_end",
    "filtered_out_wrongly",
    "other_vault",
    "forged_header",
    "forged",
    "claims_edited",
    "not_the_kept_head",
]

Proof = Literal["present_keys", "earlier_keys", "none"]


@dataclass(frozen=True)
class Fault:
    """The first thing that is wrong: the line of the file, from 1, and the event's sequence where there is one."""

    kind: FaultKind
    line: int
    sequence: int | None = None


@dataclass
class Findings:
    """What a verification found.

    `chain`: whether the hash chain is whole; `parts`: in a filtered file only between the rows that were left out.
    `keys`: whether MACs were checked. `proof`: the weakest that covers all events: the vault's present keys; keys that
    were replaced since, so that whoever had them could have made the events; or none, from `unproven_from` on.
    `log`: whether the vault's log still has the same; `differing_at` is the first event that is another one there or
    missing. `head`: what became of the kept head that was given.
    """

    fault: Fault | None = None
    vault_id: str | None = None
    made_at: str | None = None
    first: int = 0
    last: int = 0
    events: int = 0
    left_out: int = 0
    chain: Literal["whole", "parts", "broken"] = "whole"
    keys: Literal["not_asked", "locked", "checked"] = "not_asked"
    proof: Proof = "none"
    unproven_from: int | None = None
    log: Literal["not_asked", "same", "differs", "shorter"] = "not_asked"
    differing_at: int | None = None
    head: Literal["not_given", "in_the_file", "outside_the_file"] = "not_given"

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the file. That it is genuine needs `proof` too."""
        return self.fault is None and self.log in ("not_asked", "same")
