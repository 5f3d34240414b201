"""What the relays' supervisor needs from the broker in which it runs. No implementation: that is `broker/main.py`."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass

from ..contracts.access import Delivered
from ..services.relay_ports import RelayOrder

Login = Callable[[socket.socket, RelayOrder], Delivered]
"""(a client's socket, the handle's order) -> a login, after the client was identified. Raises: ConnvaultError."""

Sighted = Callable[[RelayOrder], None]
"""A secret was masked in what a client of this handle received. Never raises."""


@dataclass(frozen=True, kw_only=True)
class BrokerAnswers:
    """`has_ended` never waits; `still_good` is called with the broker's lock held.

    `version` changes whenever something changes on which `still_good` depends, except the time and which runs are
    alive; `alive`: whether a run's instance is alive.
    """

    login: Login
    sighted: Sighted
    has_ended: Callable[[RelayOrder], bool]
    still_good: Callable[[RelayOrder], bool]
    version: Callable[[], object]
    alive: Callable[[str], bool]
