"""What the relays' supervisor asks the broker that it runs in. No implementation: that is `broker/main.py`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from ..contracts.access import Delivered
from ..services.relay_ports import RelayOrder

Login = Callable[[socket.socket, RelayOrder], Delivered]
"""(a client's socket, the handle's order) -> a login, after the client was found out. Raises: ConnvaultError."""

Sighted = Callable[[RelayOrder], None]
"""A secret was masked in what a client of this handle got. Raises nothing."""


@dataclass(frozen=True, kw_only=True)
class BrokerAnswers:
    """`has_ended` waits for nothing; `still_good` is called with the broker's lock held.

    `version` changes when anything has changed that `still_good` could depend on, but the time and which runs are
    alive; `alive` tells of a run's instance.
    """

    login: Login
    sighted: Sighted
    has_ended: Callable[[RelayOrder], bool]
    still_good: Callable[[RelayOrder], bool]
    version: Callable[[], object]
    alive: Callable[[str], bool]
