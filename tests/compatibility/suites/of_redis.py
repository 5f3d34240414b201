"""redis-py's suite, on one server: no cluster, no sentinels, no modules."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.redis_server import redis_server

from ..sources import Source
from .suite import Served, Suite, Way


@contextmanager
def _serve(_folder: Path, _python: Path) -> Iterator[Served]:
    password = secrets.token_urlsafe(18)
    with redis_server(password=password) as server:
        fields = {"host": server.host, "port": server.port, "sslmode": "disable"}
        url = f"redis://:{password}@{server.host}:{server.port}/0"
        yield Served(fields, {"password": password}, Way(("--redis-url", url)))


_MARKED = "not onlycluster and not redismod and not ssl and not cp_integration and not multidb_integration"
# Of clusters, sentinels, modules and Redis Enterprise: they wait in vain for servers that are not there, or need none.
_ELSEWHERE = (
    "maint_notifications*",
    "test_scenario*",
    "*multidb*",
    "*cluster*",
    "*sentinel*",
    "test_observability*",
    "*test_bloom.py",
    "*test_json.py",
    "*test_search*.py",
    "*test_timeseries.py",
    "*test_vsets.py",
    "*himport*",
    "*test_ssl.py",
)

REDIS_PY = Suite(
    name="redis-py",
    source=Source("redis", "8.1.0"),
    requirements=(
        "redis[hiredis,jwt,ocsp]==8.1.0",
        "aiohttp",
        "click",
        "mock",
        "numpy",
        "opentelemetry-api",
        "opentelemetry-exporter-otlp-proto-http",
        "opentelemetry-sdk",
        "packaging",
        "pybreaker",
        "pytest",
        "pytest-asyncio",
        "pytest-timeout",
        "redis-entraid",
        "ujson",
        "xxhash",
    ),
    kind="redis",
    arguments=("tests", "-m", _MARKED, *(f"--ignore-glob=tests/{path}" for path in _ELSEWHERE)),
    serve=_serve,
    # The suite takes host and port out of the address, so it can't use the socket.
    through=lambda cell: Way(("--redis-url", cell("h.env(tcp=True)['REDIS_URL'] + '/0'"))),
    way="`handle.env(tcp=True)`",
)
