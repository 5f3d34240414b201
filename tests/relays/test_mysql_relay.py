"""The MySQL relay in its worker, before a real MariaDB: what clients do all day, and how it ends."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pymysql
import pytest
import sqlalchemy

from connvault_jupyter.errors import VaultLocked
from connvault_jupyter.kernel.clients.sql.hand_over import hand_over
from tests.support.broker.processes import wait_until
from tests.support.relays.mysql_relay import MysqlRelays, mysql_relays
from tests.support.relays.relay_process import workers
from tests.support.servers.mariadb import Account, MariaDbServer
from tests.support.servers.mariadb import account as account
from tests.support.servers.mariadb import mariadb as mariadb
from tests.support.servers.mysql_server import Wire, serving


@pytest.fixture
def served(account: Account) -> Iterator[MysqlRelays]:
    with mysql_relays(account.fields(), account.password) as made:
        yield made


def one(connection: pymysql.Connection[Any], query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return row[0] if row else None


@contextlib.contextmanager
def lost(connection: pymysql.Connection[Any]) -> Iterator[pymysql.Connection[Any]]:
    """One that PyMySQL has closed at the end of the block, because the other side had gone."""
    try:
        yield connection
    finally:
        with contextlib.suppress(pymysql.Error):
            connection.close()


def thread_of(connection: Any) -> int:
    """As the greeting said it."""
    return int(connection.thread_id())


def test_a_client_is_the_connections_user_in_its_database(served: MysqlRelays, account: Account) -> None:
    """Whatever the client calls itself, and whatever password it gives."""
    with served.connect(user="root", password="guess") as connection:
        assert one(connection, "SELECT current_user()") == f"{account.user}@127.0.0.1"
        assert one(connection, "SELECT database()") == account.database


def test_a_client_that_names_a_database_begins_there(served: MysqlRelays) -> None:
    """As `USE` would do."""
    with served.connect(database="information_schema") as connection:
        assert one(connection, "SELECT database()") == "information_schema"


def test_when_a_transaction_is_rolled_back_nothing_is_there(served: MysqlRelays) -> None:
    """And what is committed stays."""
    with served.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n INT) ENGINE=InnoDB")
        cursor.execute("INSERT INTO t VALUES (1)")
        connection.rollback()
        cursor.execute("INSERT INTO t VALUES (2)")
        connection.commit()
    with served.connect() as connection:
        assert one(connection, "SELECT group_concat(n) FROM t") == "2"


def test_when_a_result_is_large_all_of_it_arrives(served: MysqlRelays) -> None:
    """More than a packet of 16 MiB, and many rows."""
    with served.connect() as connection:
        assert one(connection, "SELECT repeat('x', 17000000)") == "x" * 17_000_000
        with connection.cursor() as cursor:
            cursor.execute("SELECT seq, repeat('y', 200) FROM seq_1_to_50000")
            assert sum(row[0] for row in cursor.fetchall()) == 50_000 * 50_001 // 2


def test_when_rows_are_inserted_by_the_thousand_all_are_there(served: MysqlRelays) -> None:
    """The other direction."""
    with served.connect(autocommit=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE big (n INT, text VARCHAR(400))")
        cursor.executemany("INSERT INTO big VALUES (%s, %s)", [(n, "z" * 400) for n in range(10_000)])
        assert one(connection, "SELECT count(*) FROM big") == 10_000


def test_an_error_of_the_server_arrives_as_the_servers(served: MysqlRelays) -> None:
    """After the login nothing is translated."""
    with served.connect() as connection, pytest.raises(pymysql.ProgrammingError) as caught:
        one(connection, "SELECT * FROM nowhere")
    assert caught.value.args[0] == 1146


def test_a_query_that_is_killed_by_its_thread_ends(served: MysqlRelays) -> None:
    """As drivers and `mariadb`'s Ctrl+C do it: KILL QUERY on a second connection, with the number of the greeting."""
    with served.connect() as busy, served.connect() as other:
        thread_id = thread_of(busy)
        failures: list[BaseException] = []

        def sleep() -> None:
            try:
                # A SLEEP that is killed says 1; a join says it by an error.
                one(busy, "SELECT count(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b")
            except pymysql.MySQLError as exc:
                failures.append(exc)

        thread = threading.Thread(target=sleep)
        thread.start()
        query = f"SELECT count(*) FROM information_schema.processlist WHERE id = {thread_id} AND state <> ''"
        wait_until(lambda: one(other, query) == 1, deadline_s=20, what="the query to run")
        one(other, f"KILL QUERY {thread_id}")
        thread.join(20)
        assert [failure.args[0] for failure in failures] == [1317]
        assert one(busy, "SELECT 1") == 1


def test_the_next_login_has_the_replaced_password(
    mariadb: MariaDbServer, served: MysqlRelays, account: Account
) -> None:
    """An open session goes on."""
    with served.connect() as before:
        mariadb.set_password(account, "rotated")
        with pytest.raises(pymysql.OperationalError, match="connvault upstream_auth_failed"):
            served.connect()
        served.vault.secrets["password"] = "rotated"
        with served.connect() as after:
            assert one(after, "SELECT 1") == one(before, "SELECT 1") == 1


def test_when_the_login_fails_the_client_hears_our_words_only(served: MysqlRelays, account: Account) -> None:
    """1045 as the server would say it, without its text."""
    served.vault.secrets["password"] = "wrong"
    with pytest.raises(pymysql.OperationalError) as caught:
        served.connect()
    number, text = caught.value.args
    assert number == 1045
    assert text == (
        "connvault upstream_auth_failed: "
        "The service refused the login. Check the user and replace the secret."
    )
    assert account.user not in text


def test_a_database_that_is_not_there_is_told(served: MysqlRelays) -> None:
    """Not an authentication failure."""
    with pytest.raises(pymysql.MySQLError, match="connvault upstream_refused: ") as caught:
        served.connect(database="no_such_database")
    assert caught.value.args[0] == 1105


def test_when_the_broker_refuses_the_client_hears_why(served: MysqlRelays) -> None:
    """In place of the greeting."""
    served.vault.refusal = VaultLocked()
    with pytest.raises(pymysql.MySQLError, match="connvault vault_locked: The vault is locked"):
        served.connect()


def test_when_the_permission_ends_a_running_query_does_too(
    mariadb: MariaDbServer, served: MysqlRelays, account: Account
) -> None:
    """Here, and at the server's side as well."""
    with lost(served.connect()) as connection:
        ended: list[bool] = []

        def sleep() -> None:
            with contextlib.suppress(pymysql.MySQLError):
                one(connection, "SELECT sleep(60)")
            ended.append(True)

        thread = threading.Thread(target=sleep)
        thread.start()
        asleep = f"WHERE user = '{account.user}' AND state = 'User sleep'"
        query = f"SELECT count(*) FROM information_schema.processlist {asleep}"
        wait_until(lambda: mariadb.execute(query) == [(1,)], deadline_s=20, what="the query to run")
        served.revoke(served.ref)
        thread.join(20)
        assert ended
    assert len(served.vault.asked) == 1


def test_when_the_permission_ends_a_login_under_way_does_too(served: MysqlRelays) -> None:
    """A server that says nothing holds nobody until the login's own limit of 30 s."""
    called = threading.Event()

    def silent(wire: Wire) -> None:
        called.set()
        wire.receive()

    with serving(silent) as port:
        served.vault.fields["port"] = port
        ended = threading.Event()

        def connect() -> None:
            with pytest.raises(pymysql.MySQLError):
                served.connect()
            ended.set()

        threading.Thread(target=connect).start()
        assert called.wait(20)
        served.revoke(served.ref)
        assert ended.wait(5)


def test_when_the_server_restarts_the_next_connection_works(
    mariadb: MariaDbServer, served: MysqlRelays
) -> None:
    """The open one ends, and while nobody is there the client is told."""
    with lost(served.connect()) as connection:
        mariadb.stop()
        try:
            with pytest.raises(pymysql.OperationalError):
                one(connection, "SELECT 1")
            with pytest.raises(pymysql.MySQLError, match="connvault upstream_unreachable"):
                served.connect()
        finally:
            mariadb.start()
    with served.connect() as again:
        assert one(again, "SELECT 1") == 1


def test_when_fifty_connect_at_once_all_are_served(served: MysqlRelays) -> None:
    """Each with a session of its own."""
    found: list[int] = []
    barrier = threading.Barrier(50)

    def work() -> None:
        with served.connect() as connection:
            barrier.wait(30)
            found.append(one(connection, "SELECT connection_id()"))

    threads = [threading.Thread(target=work) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(found)) == 50


def test_when_a_client_leaves_the_server_knows(
    mariadb: MariaDbServer, served: MysqlRelays, account: Account
) -> None:
    """Without a goodbye, too."""
    connection = served.connect()
    assert mariadb.sessions(account) == 1
    connection._force_close()  # type: ignore[attr-defined]
    wait_until(lambda: mariadb.sessions(account) == 0, deadline_s=20, what="the end of its session")


def test_the_command_line_client_works(served: MysqlRelays, account: Account) -> None:
    """`mariadb` by the socket's variable, without a password."""
    variables = {
        "MYSQL_UNIX_PORT": served.endpoint().socket,
        "MYSQL_HOST": "localhost",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        ["mariadb", "--no-defaults", "-N", "-B", "-e", "SELECT current_user(), database()"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.split() == [f"{account.user}@127.0.0.1", account.database], done.stderr


def test_sqlalchemy_and_pandas_work(served: MysqlRelays) -> None:
    """A frame there and back, through the URL that `.dsn` gives."""
    engine = sqlalchemy.create_engine(f"mysql+pymysql://x@localhost/?unix_socket={served.endpoint().socket}")
    try:
        frame = pd.DataFrame({"n": range(100), "text": ["ü"] * 100})
        with engine.begin() as connection:
            frame.to_sql("frame", connection, index=False)
        with engine.connect() as connection:
            assert pd.read_sql("SELECT * FROM frame", connection).equals(frame)
    finally:
        engine.dispose()


def test_a_client_by_tcp_gives_the_token_as_its_password(served: MysqlRelays, account: Account) -> None:
    """For tools that know no Unix sockets."""
    endpoint = served.endpoint(tcp=True)
    assert endpoint.port is not None
    with pymysql.connect(
        host="127.0.0.1", port=endpoint.port, user="x", password=endpoint.token, ssl_disabled=True
    ) as connection:
        assert one(connection, "SELECT current_user()") == f"{account.user}@127.0.0.1"


@pytest.mark.parametrize("password", ["", "guess", "the connection's own"])
def test_a_client_by_tcp_without_the_token_is_refused(served: MysqlRelays, password: str) -> None:
    """The database's password does not open the relay either."""
    endpoint = served.endpoint(tcp=True)
    assert endpoint.port is not None
    with pytest.raises(pymysql.OperationalError, match="connvault handle_invalid") as caught:
        pymysql.connect(
            host="127.0.0.1", port=endpoint.port, user="x", ssl_disabled=True,
            password=served.vault.secrets["password"] if password.startswith("the") else password,
        )  # fmt: skip
    assert caught.value.args[0] == 1045


def test_when_a_client_asks_for_local_files_they_are_not_agreed_on(
    served: MysqlRelays, tmp_path: Path
) -> None:
    """A server could ask for any file of the client's."""
    file = tmp_path / "data.txt"
    file.write_text("1\n")
    with served.connect(local_infile=True) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE f (n INT)")
        with pytest.raises(pymysql.MySQLError) as caught:
            cursor.execute(f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE f")
        assert caught.value.args[0] in (1148, 4166)


def test_local_files_are_agreed_on_where_the_connection_allows_them(
    served: MysqlRelays, tmp_path: Path
) -> None:
    """With a client that asks for it only."""
    file = tmp_path / "data.txt"
    file.write_text("1\n2\n")
    load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE g"
    served.vault.fields["local_infile"] = True
    try:
        with served.connect(local_infile=True) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE g (n INT)")
            assert cursor.execute(load) == 2
        with served.connect() as connection, connection.cursor() as cursor:
            with pytest.raises(pymysql.MySQLError) as caught:
                cursor.execute(load)
            assert caught.value.args[0] in (1148, 4166)
    finally:
        served.vault.fields["local_infile"] = False


def test_when_the_number_is_another_ones_nothing_is_handed_over(served: MysqlRelays) -> None:
    """Nor the same session twice; the connection goes on through the relay."""
    opened = served.opened()
    with served.connect() as one_connection, served.connect() as other:
        session = int.from_bytes(one_connection.salt[:8], "big")  # type: ignore[attr-defined]
        descriptor = other._sock.fileno()  # type: ignore[attr-defined]
        assert not hand_over(opened, session + 1, descriptor, other)
        assert one(other, "SELECT connection_id()") == thread_of(other)
        assert hand_over(opened, session, one_connection._sock.fileno(), one_connection)  # type: ignore[attr-defined]
        assert not hand_over(opened, session, descriptor, other)
        assert one(one_connection, "SELECT connection_id()") == thread_of(one_connection)
        assert one(other, "SELECT connection_id()") == thread_of(other)


def test_when_the_upstream_is_encrypted_nothing_is_handed_over(served: MysqlRelays) -> None:
    """Its state is in the relay's memory."""
    served.vault.fields["sslmode"] = "require"
    with served.connect() as connection:
        session = int.from_bytes(connection.salt[:8], "big")  # type: ignore[attr-defined]
        stream = connection._sock  # type: ignore[attr-defined]
        assert not hand_over(served.opened(), session, stream.fileno(), connection)
        assert one(connection, "SHOW STATUS LIKE 'Ssl_version'") == "Ssl_version"


def test_when_hundreds_of_clients_have_come_and_gone_no_descriptor_is_left(
    served: MysqlRelays, account: Account, mariadb: MariaDbServer
) -> None:
    """Of logins that worked, that were refused, and that were cut short."""
    served.connect().close()
    (worker,) = workers()
    wait_until(lambda: mariadb.sessions(account) == 0, deadline_s=20, what="the end of the first")
    before = worker.num_fds()
    for _ in range(60):
        served.connect().close()
    password, served.vault.secrets["password"] = served.vault.secrets["password"], "wrong"
    for _ in range(30):
        with pytest.raises(pymysql.OperationalError):
            served.connect()
    served.vault.secrets["password"] = password
    for _ in range(30):
        served.connect()._force_close()  # type: ignore[attr-defined]
    wait_until(lambda: worker.num_fds() <= before, deadline_s=20, what="the end of all")
    assert mariadb.sessions(account) == 0
