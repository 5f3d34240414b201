"""All suites, in the order in which they run."""

from __future__ import annotations

from . import of_mysql, of_postgresql, of_redis, of_requests
from .suite import Suite

SUITES: tuple[Suite, ...] = (
    of_postgresql.PSYCOPG,
    of_redis.REDIS_PY,
    of_mysql.PYMYSQL,
    of_postgresql.SQLALCHEMY,
    of_postgresql.ASYNCPG,
    of_requests.REQUESTS,
    of_mysql.SQLALCHEMY,
)
