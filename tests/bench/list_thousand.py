"""The list of 1,000 connections, at the operator channel and at the REST door."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import requests

from tests.support.broker.operator import Operator, operated_broker
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import PREFIX, Rest

from .contenders import timed
from .figures import Figure, Plan
from .sample import SECRETS, fields

IDS = ("list_1000_ms", "list_1000_json_ms", "list_1000_rest_ms")

COUNT = 1000


def measure(plan: Plan) -> Iterator[Figure]:
    rounds = plan.rounds_or(25)
    with thousand(plan.home) as operator:
        yield Figure("list_1000_ms", _median_ms(lambda: operator.call("connections.list"), rounds))
    with thousand(plan.home / "json", connection_store="json") as operator:
        yield Figure("list_1000_json_ms", _median_ms(lambda: operator.call("connections.list"), rounds))
    with serve(plan.home / "server", app="server", config=config(plan.home)) as server:
        Rest(server).set_up()
        session = requests.Session()
        session.headers["Authorization"] = f"token {server.token}"
        url = f"{server.url}{PREFIX}/connections"
        assert len(session.get(url, timeout=30).json()["connections"]) == COUNT
        # The body is read; what a client makes of it is the client's.
        yield Figure("list_1000_rest_ms", _median_ms(lambda: session.get(url, timeout=30).content, rounds))


@contextmanager
def thousand(home: Path, **settings: Any) -> Iterator[Operator]:
    """The operator of a broker on a vault that has 1,000 connections, each with its secret.

    The vault stays for a server with `config(home)`.
    """
    with operated_broker(home, **settings) as (operator, _):
        for index in range(COUNT):
            # Names and destinations differ, as a person's do; in an order that is not the alphabet's.
            name = f"warehouse_{index * 617 % COUNT:04d}"
            operator.create(name, "postgresql", fields(f"db{index}.example.com"), SECRETS)
        yield operator


def config(home: Path) -> dict[str, dict[str, Any]]:
    """A server's configuration on the vault that `thousand` has made."""
    return {
        "Application": {"log_level": "INFO"},
        "ConnvaultExtension": {"data_dir": str(home / "vault")},
    }


def _median_ms(call: Callable[[], object], rounds: int) -> float:
    call()
    return median(timed(call, rounds)) / 1e6
