"""PostgreSQL through connvault, against direct and pgbouncer: round trips, connects, throughput, COPY, memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.operator import operated_broker

from .figures import BUDGETS, Figure, Plan, added, faster, rate, slower
from .kernel_process import KernelProcess, kernel_process, workers_of
from .pgbouncer import pgbouncer
from .placement import Places
from .processes import cpu_s, resident_mb

IDS = tuple(figure_id for figure_id in BUDGETS if figure_id.startswith("pg_"))

_NAME = "warehouse"
# Of a hundred bytes each, as reports have: 200 MB.
_ROWS = 2_000_000
_COPY = f"COPY (SELECT g, repeat('x', 90) FROM generate_series(1, {_ROWS}) g) TO STDOUT"


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
    for where in places.in_turn():
        found = kernel.ask("compare", names=names, rounds=rounds, options=options)
        direct = found["pg_direct"]
        if where == "_together":
            # Where a difference of a microsecond is seen.
            yield slower("pg_handover_ratio", found["pg_handed"], direct)
        yield added(f"pg_relay_added{where}_us", found["pg_relayed"], direct)
        yield added(f"pg_pgbouncer_added{where}_us", found["pg_bouncer"], direct)


def _connects(kernel: KernelProcess, options: dict[str, Any], rounds: int) -> Iterator[Figure]:
    names = [f"pg_connect_{how}" for how in ("direct", "handed", "relayed", "bouncer")]
    found = kernel.ask("compare", names=names, rounds=rounds, options=options)
    direct = found["pg_connect_direct"]
    yield faster("pg_connect_speedup", found["pg_connect_handed"], direct)
    yield faster("pg_connect_relay_speedup", found["pg_connect_relayed"], direct)
    yield faster("pg_connect_pgbouncer_speedup", found["pg_connect_bouncer"], direct)


def _throughput(kernel: KernelProcess, options: dict[str, Any]) -> Iterator[Figure]:
    for clients in (1, 8, 50):
        names = ["direct", "relayed", "bouncer"]
        found = kernel.ask("pgbench", names=names, clients=clients, options=options)
        yield rate(f"pg_relay_tps_{clients}", found["relayed"], found["direct"])
        yield rate(f"pg_pgbouncer_tps_{clients}", found["bouncer"], found["direct"])


def _copies(kernel: KernelProcess, options: dict[str, Any], rounds: int, broker_pid: int) -> Iterator[Figure]:
    before = sum(map(cpu_s, workers_of(broker_pid)))
    found = kernel.ask("copy_out", names=["pg_direct", "pg_relayed"], rounds=rounds, options=options)
    used_s = sum(map(cpu_s, workers_of(broker_pid))) - before
    yield rate("pg_relay_copy_mb_s", found["pg_relayed"], found["pg_direct"])
    yield Figure("pg_relay_cpu_s_per_gb", used_s / (rounds * _ROWS * 98 / 1e9))


def _memory(kernel: KernelProcess, options: dict[str, Any], broker_pid: int) -> Iterator[Figure]:
    (worker,) = workers_of(broker_pid)
    yield Figure("pg_worker_rss_0_mb", resident_mb(worker))
    kernel.ask("hold", count=100, options=options)
    yield Figure("pg_worker_rss_100_mb", resident_mb(worker))
