"""What it costs to resolve a handle, against the cheapest round trip that two processes can have."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from .children import contest
from .contenders import BATCH
from .figures import Figure, Plan, slower
from .processes import cpu_s
from .sample import NAME, broker_with_connection

IDS = (
    "resolve_vs_socketpair",
    "resolve_p50_us",
    "resolve_wire_p50_us",
    "resolve_broker_cpu_us",
    "check_p50_us",
    "noop_p50_us",
)


def measure(plan: Plan) -> Iterator[Figure]:
    rounds, home = plan.rounds_or(25), plan.home / "child"
    with broker_with_connection(plan.home) as (operator, socket_path):
        options = {"socket": socket_path, "connection": NAME}
        names = ("socketpair", "deliver", "wire", "check", "noop")
        found = contest(names, rounds=rounds, options=options, home=home)
        pid = operator.broker.pid
        assert pid is not None
        before = cpu_s(pid)
        contest(("deliver",), rounds=rounds, options=options, home=home)
        # With the warm-up batch. What the broker does beside it, once a second, is in it too.
        broker_us = (cpu_s(pid) - before) * 1e6 / ((rounds + 1) * BATCH)
    p50 = {name: median(medians_us) for name, medians_us in found.items()}
    yield Figure("resolve_p50_us", p50["deliver"])
    yield Figure("resolve_wire_p50_us", p50["wire"])
    yield Figure("resolve_broker_cpu_us", broker_us)
    yield Figure("check_p50_us", p50["check"])
    yield Figure("noop_p50_us", p50["noop"])
    yield slower("resolve_vs_socketpair", found["deliver"], found["socketpair"])
