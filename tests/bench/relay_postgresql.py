"""PostgreSQL through connvault, against direct and pgbouncer: round trips, connects, throughput, COPY, memory."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.operator import operated_broker

from .figures import Figure, Plan
from .kernel_process import KernelProcess, kernel_process, workers_of
from .pgbouncer import pgbouncer
from .placement import Places
from .processes import cpu_s, resident_mb

IDS = (
    "pg_handover_ratio",
    "pg_relay_added_us",
    "pg_relay_added_together_us",
    "pg_pgbouncer_added_us",
    "pg_pgbouncer_added_together_us",
    "pg_connect_speedup",
    "pg_connect_relay_speedup",
    "pg_connect_pgbouncer_speedup",
    *(f"pg_relay_tps_{clients}" for clients in (1, 8, 50)),
    *(f"pg_pgbouncer_tps_{clients}" for clients in (1, 8, 50)),
    "pg_relay_copy_mb_s",
    "pg_relay_cpu_s_per_gb",
    "pg_worker_rss_0_mb",
    "pg_worker_rss_100_mb",
)

_NAME = "warehouse"
# Rows of a hundred bytes, as reports have; 200 MB of them.
_COPY = "COPY (SELECT g, repeat('x', 90) FROM generate_series(1, 2000000) g) TO STDOUT"
_SECONDS = 3.0


def measure(plan: Plan) -> Iterator[Figure]:
    with (
        PostgresServer(log_file=plan.home / "postgres.log", settings={"max_connections": "300"}) as server,
        operated_broker(plan.home) as (operator, socket_path),
    ):
        login = server.create_login("reader", database="sales")
        fields = {
            "host": login.host, "port": login.port, "database": login.database, "user": login.user,
            "sslmode": "disable",
        }  # fmt: skip
        operator.create(_NAME, "postgresql", fields, {"password": login.password})
        script = plan.home / "select.sql"
        script.write_text("SELECT 1;\n")
        with (
            pgbouncer(plan.home / "pgbouncer", login) as (bouncer_pid, bouncer),
            kernel_process(operator, socket_path, plan.home / "kernel") as kernel,
        ):
            options = {
                "connection": _NAME,
                "direct": _dsn(login, login.port),
                "bouncer": _dsn(login, bouncer),
                "pgbench": str(server.programs / "pgbench"),
                "script": str(script),
                "copy": _COPY,
            }
            broker_pid = operator.broker.pid
            assert broker_pid is not None
            places = Places(kernel.pid, (server.pid,), (broker_pid, bouncer_pid))
            yield from _round_trips(kernel, places, options, plan.rounds_or(25))
            places.anywhere()
            yield from _connects(kernel, options, plan.rounds_or(15))
            yield from _throughput(kernel, options)
            yield from _copies(kernel, options, plan.rounds_or(5), broker_pid)
            yield from _memory(kernel, options, broker_pid)


def _dsn(login: Login, port: int) -> str:
    return (
        f"host={login.host} port={port} user={login.user} dbname={login.database} password={login.password} "
        "sslmode=disable"
    )


def _round_trips(
    kernel: KernelProcess, places: Places, options: dict[str, Any], rounds: int
) -> Iterator[Figure]:
    names = ["pg_direct", "pg_handed", "pg_relayed", "pg_bouncer"]
    for place, where in ((places.together, "_together"), (places.apart, "")):
        place()
        found = kernel.ask("compare", names=names, rounds=rounds, options=options)
        p50 = {name: median(found[name]["medians_us"]) for name in names}
        direct = found["pg_direct"]["medians_us"]
        if where:
            # Where a difference of a microsecond is seen.
            ratio = median(
                ours / raw for ours, raw in zip(found["pg_handed"]["medians_us"], direct, strict=True)
            )
            yield Figure("pg_handover_ratio", p50["pg_handed"], p50["pg_direct"], ratio)
        for figure, name in (("pg_relay_added", "pg_relayed"), ("pg_pgbouncer_added", "pg_bouncer")):
            added = median(ours - raw for ours, raw in zip(found[name]["medians_us"], direct, strict=True))
            yield Figure(f"{figure}{where}_us", added, p50["pg_direct"], p50[name] / p50["pg_direct"])


def _connects(kernel: KernelProcess, options: dict[str, Any], rounds: int) -> Iterator[Figure]:
    names = [f"pg_connect_{how}" for how in ("direct", "handed", "relayed", "bouncer")]
    found = kernel.ask("compare", names=names, rounds=rounds, options=options)
    direct = found["pg_connect_direct"]["medians_us"]
    for figure, name in (
        ("pg_connect_speedup", "pg_connect_handed"),
        ("pg_connect_relay_speedup", "pg_connect_relayed"),
        ("pg_connect_pgbouncer_speedup", "pg_connect_bouncer"),
    ):
        ours = found[name]["medians_us"]
        speedup = median(raw / mine for raw, mine in zip(direct, ours, strict=True))
        yield Figure(figure, median(ours), median(direct), speedup)


def _throughput(kernel: KernelProcess, options: dict[str, Any]) -> Iterator[Figure]:
    for clients in (1, 8, 50):
        # By turns, twice: a slow minute is everybody's.
        found: dict[str, list[float]] = {"direct": [], "relayed": [], "bouncer": []}
        for _ in range(2):
            for place, rates in found.items():
                rates.append(
                    kernel.ask("pgbench", place=place, clients=clients, seconds=_SECONDS, options=options)
                )
        direct = median(found["direct"])
        for figure, place in (("pg_relay_tps", "relayed"), ("pg_pgbouncer_tps", "bouncer")):
            rate = median(found[place])
            yield Figure(f"{figure}_{clients}", rate, direct, rate / direct)


def _copies(kernel: KernelProcess, options: dict[str, Any], rounds: int, broker_pid: int) -> Iterator[Figure]:
    before = sum(map(cpu_s, workers_of(broker_pid)))
    found = kernel.ask("copy_out", names=["pg_direct", "pg_relayed"], rounds=rounds, options=options)
    used_s = sum(map(cpu_s, workers_of(broker_pid))) - before
    rate, direct = median(found["pg_relayed"]), median(found["pg_direct"])
    yield Figure("pg_relay_copy_mb_s", rate, direct, rate / direct)
    yield Figure("pg_relay_cpu_s_per_gb", used_s / (rounds * 2_000_000 * 98 / 1e9))


def _memory(kernel: KernelProcess, options: dict[str, Any], broker_pid: int) -> Iterator[Figure]:
    (worker,) = workers_of(broker_pid)
    yield Figure("pg_worker_rss_0_mb", resident_mb(worker))
    kernel.ask("hold", count=100, options=options)
    yield Figure("pg_worker_rss_100_mb", resident_mb(worker))
