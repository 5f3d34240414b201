"""What it costs to resolve a handle, against the cheapest round trip that two processes can have."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from .children import contest
from .figures import Figure, Plan
from .sample import NAME, broker_with_connection

IDS = ("resolve_vs_socketpair", "resolve_p50_us", "resolve_wire_p50_us", "check_p50_us", "noop_p50_us")


def measure(plan: Plan) -> Iterator[Figure]:
    with broker_with_connection(plan.home) as (_, socket_path):
        found = contest(
            ("socketpair", "deliver", "wire", "check", "noop"),
            rounds=plan.rounds_or(25),
            options={"socket": socket_path, "connection": NAME},
            home=plan.home / "child",
        )
    p50 = {name: median(taken["medians_us"]) for name, taken in found.items()}
    yield Figure("resolve_p50_us", p50["deliver"])
    yield Figure("resolve_wire_p50_us", p50["wire"])
    yield Figure("check_p50_us", p50["check"])
    yield Figure("noop_p50_us", p50["noop"])
    # Of each round, then the median: a slow minute of the machine slows both.
    pairs = zip(found["deliver"]["medians_us"], found["socketpair"]["medians_us"], strict=True)
    ratio = median(ours / raw for ours, raw in pairs)
    yield Figure("resolve_vs_socketpair", p50["deliver"], p50["socketpair"], ratio)
