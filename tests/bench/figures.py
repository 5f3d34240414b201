"""What is measured, against which budget, and how a figure becomes a row. Nothing is measured here.

A budget that is missed is a row like any other; so is a measurement that failed (`value` is `None`, `met` is false).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal


@dataclass(frozen=True)
class Budget:
    """`by`: which number of the figure the limit is for. `at`: `most` the limit, or at `least` the limit.

    `limit` `None`: shown for what it explains, without a budget.
    """

    what: str
    unit: str
    limit: float | None = None
    by: Literal["value", "ratio"] = "value"
    at: Literal["most", "least"] = "most"

    def text(self) -> str | None:
        if self.limit is None:
            return None
        sign = "<=" if self.at == "most" else ">="
        return f"{sign} {self.limit:,g}{'x' if self.by == 'ratio' else ' ' + self.unit}"


@dataclass(frozen=True)
class Figure:
    """`baseline` has the unit of `value`. `ratio` is of the two; the functions below say how."""

    id: str
    value: float
    baseline: float | None = None
    ratio: float | None = None


def slower(figure_id: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Times of each round. How many times longer ours is."""
    return Figure(figure_id, median(ours), median(theirs), _ratio(ours, theirs))


def faster(figure_id: str, ours: Sequence[float], theirs: Sequence[float]) -> Figure:
    """Times of each round. How many times longer theirs is."""
    return Figure(figure_id, median(ours), median(theirs), _ratio(theirs, ours))


def added(figure_id: str, ours: Sequence[float], direct: Sequence[float]) -> Figure:
    """Times of each round. The value is what ours has more."""
    more = median(mine - raw for mine, raw in zip(ours, direct, strict=True))
    return Figure(figure_id, more, median(direct), median(ours) / median(direct))


def rate(figure_id: str, ours: Sequence[float], direct: Sequence[float]) -> Figure:
    """So much a second in each round. The ratio is what is left of the direct way's."""
    return Figure(figure_id, median(ours), median(direct), median(ours) / median(direct))


def _ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """Of each round, then the median: a slow minute of the machine slows both."""
    return median(a / b for a, b in zip(above, below, strict=True))


# The design's table of budgets; then what explains it.
BUDGETS: dict[str, Budget] = {
    "resolve_vs_socketpair": Budget(
        "deliver over the channel, p50, against a raw socketpair round trip", "us", 12, by="ratio"
    ),
    "resolve_p50_us": Budget("deliver (grant check + unseal + audit row) over the channel, p50", "us", 150),
    "resolve_p99_busy_us": Budget("deliver, p99, while the server proxies kernel output", "us", 2000),
    "resolve_vs_keyring": Budget(
        "deliver against keyring.get_password on a real Secret Service", "us", 100, by="ratio", at="least"
    ),
    "resolve_vs_rest": Budget(
        "deliver against an authenticated REST call to the same server", "us", 5, by="ratio", at="least"
    ),
    "import_ms": Budget("importing connection() over bare IPython", "ms", 25),
    "load_ext_ms": Budget("%load_ext connvault_jupyter over bare IPython", "ms", 60),
    "broker_ready_ms": Budget("broker, spawn to first answer", "ms", 500),
    "broker_rss_mb": Budget("broker, resident after unlock", "MB", 60),
    "server_start_added_ms": Budget("server start, with over without the extension", "ms", 150),
    "dialog_drawn_ms": Budget("kernel request to dialog drawn, median", "ms", 60),
    "list_1000_ms": Budget("connections.list with 1,000 connections, operator channel", "ms", 20),
    "list_1000_json_ms": Budget("the same with the connections in a JSON file", "ms", 20),
    "rotate_1000_ms": Budget("another master key for 1,000 connections with their secrets", "ms", 1000),
    "panel_1000_ms": Budget("panel, an empty list until 1,000 rows are made and painted", "ms", 200),
    "http_relay_added_us": Budget("HTTP relay, added to a small request, p50", "us", 60),
    "http_relay_gb_s": Budget("HTTP relay, download of a file", "GB/s", 1, at="least"),
    "pg_handover_ratio": Budget("SELECT 1 on a handed-over socket against direct", "us", 1.02, by="ratio"),
    "pg_relay_added_us": Budget("PostgreSQL relay, added to SELECT 1, p50", "us", 130),
    "mask_mb_s_1000": Budget(
        "looking through answers of APIs for 1,000 patterns, against those of one secret",
        "MB/s",
        100,
        at="least",
    ),
    "pg_connect_speedup": Budget(
        "PostgreSQL connect with a warm login against a direct SCRAM connect", "us", 3, by="ratio", at="least"
    ),
    # Without a budget.
    "http_relay_added_together_us": Budget("HTTP relay, added, p50, all on one processor", "us"),
    "http_relay_tcp_added_us": Budget("HTTP relay by loopback with the handle's token, added, p50", "us"),
    "http_relay_tcp_added_together_us": Budget("the same, all on one processor", "us"),
    "http_aiohttp_added_us": Budget("a reverse proxy with aiohttp, added to a small request, p50", "us"),
    "http_aiohttp_added_together_us": Budget("the same, all on one processor", "us"),
    "http_mitmproxy_added_us": Budget("mitmproxy, added to a small request, p50", "us"),
    "http_mitmproxy_added_together_us": Budget("the same, all on one processor", "us"),
    "http_relay_rps_1": Budget("small requests through the relay with 1 client, against direct", "1/s"),
    "http_relay_rps_8": Budget("small requests through the relay with 8 clients, against direct", "1/s"),
    "http_relay_rps_50": Budget("small requests through the relay with 50 clients, against direct", "1/s"),
    "http_aiohttp_rps_1": Budget("small requests through aiohttp with 1 client, against direct", "1/s"),
    "http_aiohttp_rps_8": Budget("small requests through aiohttp with 8 clients, against direct", "1/s"),
    "http_aiohttp_rps_50": Budget("small requests through aiohttp with 50 clients, against direct", "1/s"),
    "http_aiohttp_gb_s": Budget("a reverse proxy with aiohttp, download", "GB/s"),
    "http_relay_text_gb_s": Budget("HTTP relay, download of a text, all of which is searched", "GB/s"),
    "http_relay_cpu_s_per_gb": Budget("processor time of the HTTP relay for a GB of download", "s"),
    "http_worker_rss_0_mb": Budget("an HTTP relay's worker, resident, after the downloads", "MB"),
    "http_worker_rss_100_mb": Budget("the same with 100 clients more", "MB"),
    "mask_mb_s_1000_secrets": Budget("the same for 1,000 secrets", "MB/s"),
    "mask_mb_s_plain": Budget("looking through text without an escape for one secret", "MB/s"),
    "mask_steered_ratio": Budget(
        "a block that is made of a secret, looked through for it against another, the worst kind",
        "us",
        1.1,
        by="ratio",
    ),
    "pg_relay_added_together_us": Budget("PostgreSQL relay, added to SELECT 1, p50, on one processor", "us"),
    "pg_pgbouncer_added_us": Budget("pgbouncer, added to SELECT 1, p50", "us"),
    "pg_pgbouncer_added_together_us": Budget("pgbouncer, added to SELECT 1, p50, on one processor", "us"),
    "pg_connect_relay_speedup": Budget("PostgreSQL connect through the relay, warm, against direct", "us"),
    "pg_connect_pgbouncer_speedup": Budget("connect through pgbouncer, warm, against direct", "us"),
    "pg_relay_tps_1": Budget("SELECT 1 through the relay with 1 client, against direct", "1/s"),
    "pg_relay_tps_8": Budget("SELECT 1 through the relay with 8 clients, against direct", "1/s"),
    "pg_relay_tps_50": Budget("SELECT 1 through the relay with 50 clients, against direct", "1/s"),
    "pg_pgbouncer_tps_1": Budget("SELECT 1 through pgbouncer with 1 client, against direct", "1/s"),
    "pg_pgbouncer_tps_8": Budget("SELECT 1 through pgbouncer with 8 clients, against direct", "1/s"),
    "pg_pgbouncer_tps_50": Budget("SELECT 1 through pgbouncer with 50 clients, against direct", "1/s"),
    "pg_relay_copy_mb_s": Budget("COPY TO through the relay, against direct", "MB/s"),
    "pg_relay_cpu_s_per_gb": Budget("processor time of the PostgreSQL relay for a GB of COPY", "s"),
    "pg_worker_rss_0_mb": Budget("a PostgreSQL relay's worker, resident, without a client", "MB"),
    "pg_worker_rss_100_mb": Budget("the same with 100 clients", "MB"),
    "resolve_wire_p50_us": Budget("deliver with bare frames, without the kernel's client, p50", "us"),
    "resolve_broker_cpu_us": Budget("processor time of the broker for a deliver, mean", "us"),
    "check_p50_us": Budget("check (grant check + audit row) over the channel, p50", "us"),
    "noop_p50_us": Budget("an unknown operation with bare frames, p50", "us"),
    "resolve_p50_busy_us": Budget("deliver, p50, in the same minute as the busy p99", "us"),
    "resolve_p99_idle_us": Budget("deliver, p99, from the same kernel before the output begins", "us"),
    "resolve_p99_busy_closed_us": Budget("deliver, p99, busy, one after the other without a pause", "us"),
    "busy_mb_s": Budget("kernel output that reached the WebSocket client meanwhile", "MB/s"),
    "server_start_added_cpu_ms": Budget("the same as processor time of the server process", "ms"),
    "first_connection_ms": Budget("first connection() of a fresh process with a stored grant", "ms"),
    "broker_rss_1000_mb": Budget("broker, resident after 1,000 delivers", "MB"),
    "unlock_passphrase_ms": Budget("unlocking by a passphrase", "ms"),
    "unlock_key_file_ms": Budget("unlocking by a key file", "ms"),
    "unlock_keyring_ms": Budget("unlocking by a real Secret Service", "ms"),
    "list_1000_rest_ms": Budget("GET connections with 1,000 connections, whole body", "ms"),
    "panel_1000_open_ms": Budget("panel, press on its tab until its 1,000 rows are painted", "ms"),
    "panel_1000_new_ms": Budget("panel, a 1,001st connection stored until its row is painted", "ms"),
    "dialog_drawn_p95_ms": Budget("kernel request to dialog drawn, 95th percentile", "ms"),
    # Below 0.5 there is nothing: half of all guesses are right by chance.
    "secret_timing_http": Budget(
        "guesses from the time of an HTTP answer, which of two secrets it is", "right", 0.55
    ),
    "secret_timing_redis": Budget("the same, of a Redis answer", "right", 0.55),
    "secret_timing_request": Budget(
        "the same, of a request whose claim is one of the secrets", "right", 0.55
    ),
    "secret_timing_control": Budget("the same, of one HTTP answer with and without a planted wait", "right"),
}


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest measured value that at least `share` (0 to 1) of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def row(figure_id: str, figure: Figure | None) -> dict[str, Any]:
    """The figure's row of `bench.json`. `met` is `None` where there is no budget."""
    budget = BUDGETS[figure_id]
    met: bool | None = None
    if budget.limit is not None:
        number = getattr(figure, budget.by, None)
        met = number is not None and (
            number <= budget.limit if budget.at == "most" else number >= budget.limit
        )
    return {
        "id": figure_id,
        "what": budget.what,
        "value": _rounded(figure.value) if figure else None,
        "unit": budget.unit,
        "baseline": _rounded(figure.baseline) if figure else None,
        "ratio": _rounded(figure.ratio) if figure else None,
        "budget": budget.text(),
        "met": met,
    }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows for people, in columns."""
    head = ("id", "value", "baseline", "ratio", "budget", "met", "what")
    lines = [head, *(_cells(each) for each in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            text.rjust(width) if column in (1, 2, 3) else text.ljust(width)
            for column, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _cells(each: dict[str, Any]) -> tuple[str, ...]:
    unit = each["unit"]
    return (
        each["id"],
        "failed" if each["value"] is None else f"{each['value']:,g} {unit}",
        "" if each["baseline"] is None else f"{each['baseline']:,g} {unit}",
        "" if each["ratio"] is None else f"{each['ratio']:,g}x",
        each["budget"] or "",
        {True: "yes", False: "NO", None: ""}[each["met"]],
        each["what"],
    )


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.4g}")


@dataclass(frozen=True)
class Plan:
    """`rounds`: what the person asked for, instead of each measurement's own number. `home`: an empty folder."""

    home: Path
    rounds: int | None = None

    def rounds_or(self, usual: int) -> int:
        return self.rounds or usual
