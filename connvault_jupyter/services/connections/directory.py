"""All that tells what a connection is: the connections, their kinds, and where they lead. No rule is here."""

from __future__ import annotations

from dataclasses import dataclass

from ..ports import ProviderRegistry
from .destinations import Destinations
from .documents import Documents


@dataclass(frozen=True, kw_only=True)
class Directory:
    """One argument for whoever judges connections. `documents` are judged already: what is not the broker's own is
    never `ready` there."""

    documents: Documents
    registry: ProviderRegistry
    destinations: Destinations
