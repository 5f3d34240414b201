"""requests' suite, against an httpbin that wants a key."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from setup_hooks.postgresql import free_port
from tests.support.broker.processes import clean_environment, running, wait_until

from ..sources import Source
from .suite import Cell, Served, Suite, Way

_SERVER = Path(__file__).parents[1] / "plugins" / "keyed_httpbin.py"
_DEADLINE_S = 30.0


def _way(url: str, key: str) -> Way:
    return Way(("-p", "connvault_httpbin"), {"HTTPBIN_URL": url, "HTTPBIN_KEY": key})


@contextmanager
def _serve(folder: Path, python: Path) -> Iterator[Served]:
    key, port, log = secrets.token_urlsafe(24), free_port(), folder / "httpbin.log"
    with running(
        [str(python), str(_SERVER), str(port)],
        log_file=log,
        env=clean_environment(folder, {"HTTPBIN_KEY": key}),
    ) as process:
        wait_until(
            lambda: b"listening" in log.read_bytes(), deadline_s=_DEADLINE_S, what="httpbin", process=process
        )
        url = f"http://127.0.0.1:{port}"
        fields = {"base_url": url, "allow_http": True, "auth": "header", "header": "X-Api-Key"}
        yield Served(fields, {"token": key}, _way(url, key))


def _through(cell: Cell) -> Way:
    return _way(cell("h.base_url"), cell("str.__str__(h.token)"))


REQUESTS = Suite(
    name="requests",
    source=Source("requests", "2.34.2"),
    requirements=(
        "requests[socks]==2.34.2",
        "httpbin~=0.10.0",
        "pytest",
        "pytest-httpbin==2.1.0",
        "pytest-mock",
        "pytest-timeout",
        "trustme",
    ),
    kind="http",
    arguments=("tests",),
    serve=_serve,
    through=_through,
    way="`handle.base_url` and `.token`",
)
