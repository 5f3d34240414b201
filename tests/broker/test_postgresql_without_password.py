"""A PostgreSQL that knows its users by itself: a connection on a Unix socket without a secret, from form to query."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from setup_hooks.postgresql import PostgresServer
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.relays.postgres_relay import os_user


@pytest.fixture
def fields(tmp_path: Path) -> Iterator[dict[str, Any]]:
    settings = {"log_statement": "none"}
    with PostgresServer(log_file=tmp_path / "log", settings=settings) as server:
        server.execute(f'create role "{os_user()}" login')
        settings["unix_socket_directories"] = str(server.data.parent)
        (server.data / "pg_hba.conf").write_text(
            f"local all {os_user()} peer\nhost all postgres 127.0.0.1/32 scram-sha-256\n"
        )
        server.restart()
        yield {
            "host": str(server.data.parent), "port": server.admin.port, "database": "postgres", "user": os_user(),
            "sslmode": "require",
        }  # fmt: skip


def test_a_connection_without_a_password_is_ready_and_opens_clients(fields: dict[str, Any]) -> None:
    """The question and the handle say hand-over: nothing is encrypted on a socket."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder)) as (operator, path),
    ):
        operator.create("local", "postgresql", fields, {})
        with Notebooks(operator, home=Path(folder), socket_path=path).open("a.ipynb") as kernel:
            kernel.run("h = connection('local')")
            found = kernel.run("h.connect().execute('select current_user::text').fetchone()[0]")
            assert found == os_user()
            assert kernel.run("h.delivery") == "hand_over"
            place = f"[{fields['host']}]:{fields['port']}"
            assert kernel.run(f"{place!r} in repr(h)")
