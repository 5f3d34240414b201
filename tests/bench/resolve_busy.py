"""How long a resolve takes at worst while the same server carries a flood of kernel output to a browser."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

from tests.support.broker.in_clear import IN_CLEAR, WITH_PROVIDERS
from tests.support.broker.processes import clean_environment, end, wait_until
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest

from .approver import approver
from .children import ROOT, Kernel, kernel_of
from .figures import Figure, Plan
from .sample import NAME, SECRETS, fields

IDS = (
    "resolve_p99_busy_us",
    "resolve_p50_busy_us",
    "resolve_p99_idle_us",
    "resolve_p99_busy_closed_us",
    "busy_mb_s",
)

TARGET_MB_S = 25
_CHUNK_BYTES = 250_000
# A client in a hurry: 250 pool checkouts a second. Without any pause the client alone would fill a processor, and the
# figure would tell how two processors are shared by five processes; that one is reported apart.
_EVERY_S = 0.004

# Prints at a steady rate until the file is gone; a pipe that is full slows it down as it would anybody.
_FLOOD = """
import os, sys, time
chunk = "x" * ({chunk} - 1) + "\\n"
due = time.monotonic()
while os.path.exists({flag!r}):
    sys.stdout.write(chunk)
    sys.stdout.flush()
    due = max(due + len(chunk) / {rate}, time.monotonic() - 0.1)
    time.sleep(max(0.0, due - time.monotonic()))
"""


def measure(plan: Plan) -> Iterator[Figure]:
    config: dict[str, dict[str, Any]] = {
        "Application": {"log_level": "INFO"},
        # Jupyter drops output above 1 MB/s unless told otherwise.
        "ZMQChannelsWebsocketConnection": {"limit_rate": False},
    }
    rounds = plan.rounds_or(5)
    idle, busy, closed, rates = [], [], [], []
    with serve(plan.home, app="server", config=config, env=WITH_PROVIDERS) as server:
        rest = Rest(server)
        rest.set_up()
        rest.create(NAME, IN_CLEAR, fields(), SECRETS)
        with (
            approver(server),
            kernel_of(server, "asker.ipynb") as asker,
            kernel_of(server, "printer.ipynb") as printer,
            _reading(server, printer) as reader,
        ):
            asker.value("0", "from tests.bench import contenders")
            for _ in range(rounds):
                idle.append(_steady(asker, every_s=_EVERY_S))
                with _flooding(printer, plan):
                    # The rate is that of the measured time, not of the start.
                    wait_until(lambda: _count(reader) > 0, deadline_s=20, what="the first output")
                    begin, at = _count(reader), time.monotonic()
                    busy.append(_steady(asker, every_s=_EVERY_S))
                    closed.append(_steady(asker, every_s=0.0))
                    rates.append((_count(reader) - begin) / (time.monotonic() - at) / 1e6)
    yield Figure("resolve_p99_busy_us", median(each["p99_us"] for each in busy))
    yield Figure("resolve_p50_busy_us", median(each["p50_us"] for each in busy))
    yield Figure("resolve_p99_idle_us", median(each["p99_us"] for each in idle))
    yield Figure("resolve_p99_busy_closed_us", median(each["p99_us"] for each in closed))
    yield Figure("busy_mb_s", median(rates))


def _steady(kernel: Kernel, *, every_s: float) -> dict[str, float]:
    options = {"connection": NAME}
    found: dict[str, float] = kernel.value(
        f"contenders.steady('deliver', {options!r}, seconds=4, every_s={every_s})"
    )
    return found


@contextmanager
def _flooding(kernel: Kernel, plan: Plan) -> Iterator[None]:
    flag = plan.home / "flood"
    flag.touch()
    rate = TARGET_MB_S * 1e6
    ticket = kernel.begin(_FLOOD.format(chunk=_CHUNK_BYTES, flag=str(flag), rate=rate), "0")
    try:
        yield
    finally:
        flag.unlink()
        kernel.answer(ticket)


@contextmanager
def _reading(server: JupyterServer, kernel: Kernel) -> Iterator[subprocess.Popen[str]]:
    url = f"{server.url.replace('http', 'ws', 1)}api/kernels/{kernel.id}/channels"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.flood_reader"],
        cwd=ROOT,
        env=clean_environment(server.home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        _say(process, json.dumps({"url": url, "token": server.token}))
        _count(process)
        yield process
    finally:
        end(process)  # type: ignore[arg-type]


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _count(process: subprocess.Popen[str]) -> int:
    _say(process, "?")
    assert process.stdout is not None
    return int(process.stdout.readline())
