"""The relays' own processes, without a broker: a supervisor with its zygote, which lets the test say who may log in.

The one place where tests start relays, end them as a crash would, and look at what the supervisor keeps to itself.
"""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from connvault_jupyter.broker.spawn import Spawner
from connvault_jupyter.broker.waiting_parent import NAME as WAITER
from connvault_jupyter.contracts.connections import TestOutcome
from connvault_jupyter.contracts.providers import ProviderDefinition
from connvault_jupyter.errors import NotAllowed
from connvault_jupyter.relays.broker_answers import BrokerAnswers, Login
from connvault_jupyter.relays.connection_check import RelayConnectionCheck
from connvault_jupyter.relays.supervisor import RelaySupervisor
from connvault_jupyter.services.relay_ports import RelayOrder

from ..broker.processes import wait_until

# As a broker starts it, but that it may be looked into: only root could count a hardened process's descriptors.
_OPEN = """
import runpy
from connvault_jupyter.broker import hardening
hardening.become_non_dumpable = lambda: False
runpy.run_module("connvault_jupyter.broker.relay_process", run_name="__main__")
"""
_PROGRAM = ("-c", _OPEN)


def _nobody(*_: Any) -> Any:
    raise NotAllowed


@contextlib.contextmanager
def supervised(
    *,
    login: Login = _nobody,
    sighted: Callable[[RelayOrder], None] = lambda _order: None,
    still_good: Callable[[RelayOrder], bool] = lambda _: True,
    version: Callable[[], object] = lambda: 0,
    alive: Callable[[str], bool] = lambda _: True,
) -> Iterator[RelaySupervisor]:
    """As `broker.main` wires it; all processes are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        supervisor = RelaySupervisor(
            start_zygote=Spawner(_PROGRAM),
            directory=Path(folder) / "h",
            broker=BrokerAnswers(
                login=login,
                sighted=sighted,
                has_ended=lambda _: False,
                still_good=still_good,
                version=version,
                alive=alive,
            ),
            clock=lambda: datetime.now(timezone.utc),
            lock=threading.RLock(),
            log=logging.getLogger("connvault.tests"),
        )
        supervisor.start()
        try:
            yield supervisor
        finally:
            supervisor.close()


def tried(
    provider: ProviderDefinition,
    fields: Mapping[str, Any],
    secrets: Mapping[str, str],
    *,
    at: datetime,
    timeout_s: float = 10.0,
) -> TestOutcome:
    """A connection test, in processes that are started for it: they see the environment of now."""
    with supervised() as supervisor:
        check = RelayConnectionCheck(try_login=supervisor.try_login, clock=lambda: at, timeout_s=timeout_s)
        return check(provider, fields, secrets)


def lose(supervisor: RelaySupervisor) -> None:
    """As if all workers had crashed. Returns when they have ended, and the broker knows."""
    # What was lost before is in the list until the watch has found it.
    clients = {one.worker for one in supervisor._open.values() if not one.worker.over}
    left = len(workers()) - len(clients)
    for client in clients:
        client.end()
    wait_until(
        lambda: len(workers()) <= left and all(client.over for client in clients),
        deadline_s=20,
        what="the end of the workers",
    )


def wait_for_the_cut(supervisor: RelaySupervisor) -> None:
    """Until nothing is open any more."""
    wait_until(lambda: not supervisor._open, deadline_s=20, what="the end of what was open")


def workers() -> list[psutil.Process]:
    """The relay workers below this process, of whatever supervisor."""
    return [worker for zygote in _zygotes(None) for worker in _alive(zygote)]


def relays_below(broker_pid: int | None) -> tuple[psutil.Process, list[psutil.Process]]:
    """A broker's zygote, and the workers that it has forked."""
    assert broker_pid is not None
    (zygote,) = _zygotes(broker_pid)
    return zygote, _alive(zygote)


def _zygotes(pid: int | None) -> list[psutil.Process]:
    started = [one for one in psutil.Process(pid).children() if "relay_process" in " ".join(one.cmdline())]
    # Where processes can't be closed from their first instruction (as root), one waits for its copy.
    return [copy for one in started for copy in (one.children() if one.name() == WAITER else [one])]


def _alive(zygote: psutil.Process) -> list[psutil.Process]:
    found = []
    for child in zygote.children():
        # One that ends between the two questions is gone.
        with contextlib.suppress(psutil.NoSuchProcess):
            if child.status() != psutil.STATUS_ZOMBIE:
                found.append(child)
    return found
