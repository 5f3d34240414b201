"""The forms of addresses among the variables, as celery, redis-cli, SQLAlchemy with asyncpg and connectorx read them.

Tried with these libraries themselves; pinned here, because a change that looks like none would break one of them.
"""

from __future__ import annotations

import pytest

from tests.support.services.catalogue import CATALOGUE

FORMS = {
    # connectorx and polars want a host; asyncpg in SQLAlchemy takes no `sslmode`.
    ("postgresql", "DATABASE_URL"): "postgresql://{user}:{token}@127.0.0.1:{port}/{database}",
    ("postgresql", "DATABASE_SOCKET_URL"): "postgresql://{user}@/{database}?host={directory}&port=5432",
    # connectorx and others know no driver's name in the scheme, SQLAlchemy takes another driver without it.
    ("mysql", "MYSQL_URL"): "mysql://{user}:{token}@127.0.0.1:{port}/{database}",
    ("mysql", "DATABASE_URL"): "mysql+pymysql://{user}:{token}@127.0.0.1:{port}/{database}",
    (
        "mysql",
        "DATABASE_SOCKET_URL",
    ): "mysql+pymysql://{user}@localhost/{database}?unix_socket={socket}",
    # Neither celery nor redis-cli reads `unix://`.
    ("redis", "REDIS_URL"): "redis://:{token}@127.0.0.1:{port}/{database}",
    ("redis", "REDIS_SOCKET_URL"): "unix://{socket}",
    # LangChain reads the second one, which would count there if it led elsewhere.
    ("openai", "OPENAI_BASE_URL"): "{base_url}",
    ("openai", "OPENAI_API_BASE"): "{base_url}",
}


@pytest.mark.parametrize(("kind", "name"), FORMS)
@pytest.mark.parametrize("tcp", [False, True])
def test_an_address_has_the_form_that_libraries_read(kind: str, name: str, tcp: bool) -> None:
    """With `tcp` too: there is one form of each."""
    provider = CATALOGUE.get(kind)
    assert provider is not None
    (delivery,) = provider.deliveries
    assert {**delivery.variables, **(delivery.tcp_variables if tcp else {})}[name] == FORMS[kind, name]
