"""Wires a stream of the activity log to the broker. No rules here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...broker.broker_process import BrokerProcess
from .cursor import CursorFile
from .destinations import Destination, Sender
from .otlp import OtlpSender
from .stream import ActivityStream
from .syslog import SyslogSender

# As long as a person's request waits for it.
_TIMEOUT_S = 30.0


def stream_to(to: Destination, *, folder: Path, broker: BrokerProcess, log: logging.Logger) -> ActivityStream:
    """A stream that is not started yet. `folder`: the vault's, where it notes how far it is."""

    def ask(operation: str, body: Mapping[str, Any]) -> dict[str, Any]:
        return broker.call(operation, body).result(_TIMEOUT_S)

    def tell(state: Mapping[str, Any]) -> None:
        broker.call("supervision.activity_stream", state)

    sender: Sender = OtlpSender(to) if to.url else SyslogSender(to)
    return ActivityStream(
        label=to.label, sender=sender, cursors=CursorFile(folder, to.label), ask=ask, tell=tell, log=log
    )
