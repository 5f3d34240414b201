"""HTTP through connvault, against direct access, a reverse proxy with aiohttp, and mitmproxy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from setup_hooks.bootstrap import MITMPROXY
from setup_hooks.postgresql import free_port
from tests.support.broker.operator import operated_broker

from .figures import BUDGETS, Figure, Plan, added, rate
from .kernel_process import KernelProcess, kernel_process, workers_of
from .listening import listening
from .placement import Places
from .processes import cpu_s, resident_mb

IDS = tuple(figure_id for figure_id in BUDGETS if figure_id.startswith("http_"))

_NAME = "service"
_SIZE = 1 << 30
_NAMES = ("http_direct", "http_relayed", "http_aiohttp")


def measure(plan: Plan) -> Iterator[Figure]:
    with ExitStack() as stack:
        upstream, aiohttp, mitmproxy = (free_port() for _ in range(3))
        upstream_pid, aiohttp_pid, mitmproxy_pid = (
            stack.enter_context(listening(command, port, home=plan.home))
            for command, port in (
                ([sys.executable, "-m", "tests.bench.http_upstream", str(upstream)], upstream),
                ([sys.executable, "-m", "tests.bench.aiohttp_proxy", str(upstream), str(aiohttp)], aiohttp),
                (_mitmproxy(upstream, mitmproxy, plan.home), mitmproxy),
            )
        )
        options: dict[str, Any] = {
            "connection": _NAME,
            "upstream": upstream,
            "aiohttp": aiohttp,
            "mitmproxy": mitmproxy,
            "size": _SIZE,
        }
        operator, socket_path = stack.enter_context(operated_broker(plan.home))
        fields = {"base_url": f"http://127.0.0.1:{upstream}", "auth": "bearer", "allow_http": True}
        operator.create(_NAME, "http", fields, {"token": "a-made-up-token-of-40-characters-0123456"})
        kernel = stack.enter_context(kernel_process(operator, socket_path, plan.home / "kernel"))
        broker_pid = operator.broker.pid
        assert broker_pid is not None
        places = Places(kernel.pid, (upstream_pid,), (broker_pid, aiohttp_pid, mitmproxy_pid))
        yield from _requests(kernel, places, options, plan.rounds_or(25))
        yield from _throughput(kernel, options)
        yield from _downloads(kernel, options, plan.rounds_or(5), broker_pid)
        (worker,) = workers_of(broker_pid)
        yield Figure("http_worker_rss_0_mb", resident_mb(worker))
        kernel.ask("hold_http", count=100, options=options)
        yield Figure("http_worker_rss_100_mb", resident_mb(worker))


def _requests(
    kernel: KernelProcess, places: Places, options: dict[str, Any], rounds: int
) -> Iterator[Figure]:
    names = (*_NAMES, "http_relayed_tcp", "http_mitmproxy")
    for where in places.in_turn():
        found = kernel.ask("compare", names=names, rounds=rounds, options=options)
        direct = found["http_direct"]
        yield added(f"http_relay_added{where}_us", found["http_relayed"], direct)
        yield added(f"http_relay_tcp_added{where}_us", found["http_relayed_tcp"], direct)
        yield added(f"http_aiohttp_added{where}_us", found["http_aiohttp"], direct)
        yield added(f"http_mitmproxy_added{where}_us", found["http_mitmproxy"], direct)


def _throughput(kernel: KernelProcess, options: dict[str, Any]) -> Iterator[Figure]:
    for clients in (1, 8, 50):
        found = kernel.ask("throughput", names=_NAMES, clients=clients, options=options)
        yield rate(f"http_relay_rps_{clients}", found["http_relayed"], found["http_direct"])
        yield rate(f"http_aiohttp_rps_{clients}", found["http_aiohttp"], found["http_direct"])


def _downloads(
    kernel: KernelProcess, options: dict[str, Any], rounds: int, broker_pid: int
) -> Iterator[Figure]:
    before = sum(map(cpu_s, workers_of(broker_pid)))
    found = kernel.ask("download", names=_NAMES, rounds=rounds, options=options)
    used_s = sum(map(cpu_s, workers_of(broker_pid))) - before
    yield rate("http_relay_gb_s", found["http_relayed"], found["http_direct"])
    yield rate("http_aiohttp_gb_s", found["http_aiohttp"], found["http_direct"])
    text = kernel.ask("download", names=("http_direct", "http_relayed_text"), rounds=rounds, options=options)
    yield rate("http_relay_text_gb_s", text["http_relayed_text"], text["http_direct"])
    yield Figure("http_relay_cpu_s_per_gb", used_s / (rounds * _SIZE / 1e9))


def _mitmproxy(upstream: int, port: int, home: Path) -> list[str]:
    if not MITMPROXY.exists():
        raise AssertionError(
            "mitmproxy is not installed; `make bench` installs it in an environment of its own"
        )
    return [
        str(MITMPROXY), "--quiet", "--mode", f"reverse:http://127.0.0.1:{upstream}", "--listen-host", "127.0.0.1",
        "--listen-port", str(port), "--set", f"confdir={home / 'mitmproxy'}",
        "--set", "modify_headers=/~q/Authorization/Bearer made-up",
    ]  # fmt: skip
