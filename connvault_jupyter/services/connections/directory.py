"""Everything about what a connection is: the connections, their kinds, and their destinations. No rules here."""

from __future__ import annotations

from dataclasses import dataclass

from ..ports import ProviderRegistry
from .destinations import Destinations
from .documents import Documents
from .visible import VisibleConnections
from .workspaces import Workspaces


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Bundles these as one argument. `documents` are already judged: what is not the broker's own is never `ready`
    there. `visible`: those of them that one requester sees."""

    documents: Documents
    visible: VisibleConnections
    workspaces: Workspaces
    registry: ProviderRegistry
    destinations: Destinations
