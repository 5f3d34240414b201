"""Through a brokered handle for MySQL: what the server tells of the login itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.relays.mysql_relay import MysqlRelays, mysql_relays
from tests.support.servers.mariadb import Account
from tests.support.servers.mariadb import account as account
from tests.support.servers.mariadb import mariadb as mariadb


@pytest.fixture
def served(account: Account) -> Iterator[MysqlRelays]:
    with mysql_relays(account.fields(), account.password) as made:
        yield made


def test_a_server_tells_its_users_the_hash_of_their_password(served: MysqlRelays, account: Account) -> None:
    """Not stopped: MariaDB shows it to whoever is logged in. The password itself is not in it; it can be guessed at."""
    with served.connect() as connection, connection.cursor() as cursor:
        cursor.execute("SHOW GRANTS")
        shown = str(cursor.fetchall())
    assert "IDENTIFIED BY PASSWORD '*" in shown
    assert account.password not in shown


def test_a_client_that_asks_to_read_local_files_is_not_agreed_with(served: MysqlRelays) -> None:
    """A hostile server could ask for any of them otherwise."""
    connection: Any = served.connect(local_infile=True)
    with connection:
        assert not connection.server_capabilities & 0x80
