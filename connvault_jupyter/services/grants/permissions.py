"""Everything about what a requester may do: grants, handles, limits, counts, revocation. No rules here."""

from __future__ import annotations

from dataclasses import dataclass

from .ended import Ended
from .handle_limit import HandleLimit
from .handles import Handles
from .revocation import Revocation
from .service import Grants
from .use_counter import UseCounter


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """Bundles these as one argument."""

    grants: Grants
    handles: Handles
    handle_limit: HandleLimit
    use_counter: UseCounter
    revocation: Revocation
    ended: Ended
