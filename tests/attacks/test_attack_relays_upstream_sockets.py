"""A connection's host may be the path of a socket: what else listens on this machine, and what is made of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.browser.rest import postgresql_fields


@dataclass
class World:
    operator: Operator
    channel: str
    kernel: RequesterProcess
    login: Login

    def leads_to(self, kind: str, host: str) -> str:
        """A connection to what listens there, and the code that opens it."""
        fields = {
            "host": host,
            "user": self.login.user,
            "database": self.login.database,
            "sslmode": "disable",
        }
        self.operator.create("elsewhere", kind, fields, {"password": self.login.password})
        return "connection('elsewhere').connect()"

    def goes_on(self) -> bool:
        return bool(self.kernel.run("h.connect().execute('select 1').fetchone() == (1,)"))


@pytest.fixture
def world(postgres: PostgresServer, postgres_login: Login) -> Iterator[World]:
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
    ):
        fields = {**postgresql_fields(postgres_login), "sslmode": "disable"}
        operator.create("warehouse", "postgresql", fields, {"password": postgres_login.password})
        with Notebooks(operator, home=Path(folder), socket_path=path).open("a.ipynb") as kernel:
            kernel.run("h = connection('warehouse'); h.connect().close()")
            yield World(operator, str(path), kernel, postgres_login)


def test_a_connection_into_another_handles_relay_is_let_in_by_nobody(world: World) -> None:
    """It speaks PostgreSQL, and looks who is there: the relay itself, which has no handle."""
    folder = world.kernel.run("h._handle_ref.open().directory")
    with pytest.raises(Refused, match="UpstreamAuthFailed"):
        world.kernel.run(world.leads_to("postgresql", folder))
    assert world.goes_on()


def test_a_connection_into_the_brokers_channel_says_nothing_there(world: World) -> None:
    """It waits to be spoken to, as a database server does not; and serves on."""
    with pytest.raises(Refused, match="UpstreamUnreachable"):
        world.kernel.run(world.leads_to("mysql", world.channel))
    assert world.goes_on()


def test_a_connection_into_a_handles_line_for_sockets_says_nothing_there(world: World) -> None:
    """What asks there for a socket gets one; the relay asks for none."""
    folder = world.kernel.run("h._handle_ref.open().directory")
    with pytest.raises(Refused, match="UpstreamUnreachable"):
        world.kernel.run(world.leads_to("mysql", f"{folder}/hand-over"))
    assert world.goes_on()
