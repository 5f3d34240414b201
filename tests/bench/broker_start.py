"""How soon a broker answers, and what it holds in memory."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from connvault_jupyter._version import __version__
from connvault_jupyter.broker.broker_process import BrokerProcess
from connvault_jupyter.contracts.supervision import BrokerSettings
from tests.support.broker.operator import CALL_DEADLINE_S
from tests.support.browser.rest import PASSPHRASE

from .children import contest
from .contenders import BATCH
from .figures import Figure, Plan
from .processes import resident_mb
from .sample import NAME, broker_with_connection

IDS = ("broker_ready_ms", "broker_rss_mb", "broker_rss_1000_mb")

# `contenders.compare` warms up with one batch more.
_DELIVERS = 1000


def measure(plan: Plan) -> Iterator[Figure]:
    with broker_with_connection(plan.home) as (operator, socket_path):
        # As at the start of a day: locked first, then unlocked once.
        operator.call("vault.lock")
        operator.call("vault.unlock", {"passphrase": PASSPHRASE})
        pid = operator.broker.pid
        assert pid is not None
        yield Figure("broker_rss_mb", resident_mb(pid))
        options = {"socket": socket_path, "connection": NAME}
        contest(("deliver",), rounds=_DELIVERS // BATCH, options=options, home=plan.home / "child")
        yield Figure("broker_rss_1000_mb", resident_mb(pid))
    # On the vault that is there now, as every start but the very first.
    taken = [_ready_ms(plan.home) for _ in range(plan.rounds_or(11) + 1)][1:]
    yield Figure("broker_ready_ms", median(taken))


def _ready_ms(home: Path) -> float:
    broker = BrokerProcess(log=logging.getLogger("connvault.bench"))
    settings = BrokerSettings(
        data_dir=str(home / "vault"),
        socket_path=str(home / "s" / "b"),
        server_root=str(home),
        custodian="passphrase",
        # Stopped while it still opens, it says so.
        log_level="ERROR",
        version=__version__,
    )
    before = time.perf_counter_ns()
    broker.start(settings)
    try:
        broker.ready.result(CALL_DEADLINE_S)
        return (time.perf_counter_ns() - before) / 1e6
    finally:
        broker.stop()
