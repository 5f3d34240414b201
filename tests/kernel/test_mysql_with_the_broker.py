"""MySQL on the whole path: consent, broker, relay, a real MariaDB, and a process that never has the password."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from connvault_jupyter.relays.limits import LIMITS
from tests.support.broker.mysql_world import World
from tests.support.broker.mysql_world import running as running
from tests.support.broker.mysql_world import world as world
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused
from tests.support.relays.relay_process import relays_below
from tests.support.servers.mariadb import mariadb as mariadb

# By `sslmode`: a plain upstream's socket can be handed over, an encrypted one's can't.
DELIVERIES = {"disable": "hand_over", "require": "relay"}

# Arguments of PyMySQL's that say where, as whom, or let the server ask for files.
ELSEWHERE = (
    "host",
    "port",
    "user",
    "password",
    "unix_socket",
    "ssl",
    "ssl_ca",
    "read_default_file",
)


@pytest.fixture
def delivery(request: pytest.FixtureRequest, world: World) -> str:
    return DELIVERIES[request.node.callspec.params["world"]]


def test_the_handle_of_a_mysql_connection_says_how_it_connects(world: World, delivery: str) -> None:
    """A session of the connection's user, and nothing asked of the code."""
    run = world.cell.run
    run("c = h.connect()")
    assert run("one(c, 'SELECT current_user()')") == f"{world.account.user}@127.0.0.1"
    assert run("h.delivery") == delivery
    assert "brokered" in run("repr(h)")
    assert run("one(c, 'SELECT @@character_set_client')") == "utf8mb4"


def test_a_mysql_handle_works_all_day(world: World) -> None:
    """Transactions, large results, errors of the server's, through connection and engine."""
    run = world.cell.run
    run("c = h.connect(autocommit=False); e = h.engine()")
    run("one(c, 'CREATE TABLE t (n INT) ENGINE=InnoDB')")
    run("one(c, 'INSERT INTO t VALUES (1)'); c.rollback()")
    run("one(c, 'INSERT INTO t VALUES (2)'); c.commit()")
    assert run("scalar(e, 'SELECT group_concat(n) FROM t')") == "2"
    query = "SELECT seq, repeat('y', 300) AS y FROM seq_1_to_30000"
    assert run(f"int(pandas.read_sql({query!r}, e).seq.sum())") == 30_000 * 30_001 // 2
    assert run("outcome(c, 'SELECT * FROM nowhere')") == 1146
    assert run("one(c, 'SELECT 3')") == 3


def test_rows_set_to_what_they_were_count_as_found(world: World) -> None:
    """SQLAlchemy's object mapper relies on it."""
    world.cell.run("e = h.engine()")
    code = (
        "with e.begin() as s:\n    s.execute(text('CREATE TABLE t (n INT)'))\n"
        "    s.execute(text('INSERT INTO t VALUES (1)'))\n"
        "    found = s.execute(text('UPDATE t SET n = 1')).rowcount"
    )
    world.cell.run(code)
    assert world.cell.run("found") == 1


def test_a_query_that_is_killed_by_its_thread_ends(world: World) -> None:
    """The number that the library knows is the server's."""
    run = world.cell.run
    run("a = h.connect(); b = h.connect(); ended = []")
    slow = "SELECT count(*) FROM seq_1_to_1000000 a, seq_1_to_1000000 b"
    run(f"t = threading.Thread(target=lambda: ended.append(outcome(a, {slow!r}))); t.start()")
    busy = "SELECT count(*) FROM information_schema.processlist WHERE state <> '' AND id = "
    wait_until(
        lambda: run(f"one(b, {busy!r} + str(a.thread_id()))") == 1, deadline_s=20, what="the query to run"
    )
    run("one(b, f'KILL QUERY {a.thread_id()}'); t.join(20)")
    assert run("ended") == [1317]
    assert run("one(a, 'SELECT 1')") == 1


def test_a_time_out_that_is_given_counts(world: World) -> None:
    """Also after the socket was exchanged."""
    world.cell.run("c = h.connect(read_timeout=1)")
    assert world.cell.run("outcome(c, 'SELECT sleep(20)')") == 2013


def test_when_the_password_is_replaced_the_pool_logs_in_anew(world: World) -> None:
    """At the next checkout; until then its session is used again."""
    run = world.cell.run
    run("e = h.engine(pool_size=1, max_overflow=0)")
    before = run("scalar(e, 'SELECT connection_id()')")
    assert run("scalar(e, 'SELECT connection_id()')") == before
    world.rotate("rotated")
    after = run("scalar(e, 'SELECT connection_id()')")
    assert after != before
    assert run("scalar(e, 'SELECT connection_id()')") == after


def test_when_the_permission_ends_running_queries_and_pools_do(world: World) -> None:
    """What is open is cut, what is asked next is told why."""
    run = world.cell.run
    run("c = h.connect(); e = h.engine(); scalar(e, 'SELECT 1'); ended = []")
    run("t = threading.Thread(target=lambda: ended.append(outcome(c, 'SELECT sleep(60)'))); t.start()")
    asleep = f"user = '{world.account.user}' AND state = 'User sleep'"
    query = f"SELECT count(*) FROM information_schema.processlist WHERE {asleep}"
    wait_until(lambda: world.mariadb.execute(query) == [(1,)], deadline_s=20, what="the query to run")
    world.operator.revoke_all()
    run("t.join(20)")
    assert run("ended") == [2013]
    for code in ("scalar(e, 'SELECT 1')", "h.connect()", "h.dsn", "h.env()"):
        with pytest.raises(Refused) as caught:
            run(code)
        assert caught.value.kind == "HandleInvalid"
    # MariaDB looks for a sleeper's client every five seconds; the pool's session is gone at once.
    wait_until(
        lambda: world.mariadb.sessions(world.account) <= 1, deadline_s=20, what="the end of the sessions"
    )


def test_what_a_lost_connection_says_is_about_its_handle(world: World) -> None:
    """At the first use and at each one after that; a connection of the notebook's own says nothing of it."""
    run = world.cell.run
    login = f"host='127.0.0.1', port={world.mariadb.port}, user={world.account.user!r}"
    run(f"own = pymysql.connect({login}, password={world.account.password!r}, ssl_disabled=True)")
    run("from connvault_jupyter.kernel import api")
    run(
        "def why(connection):\n"
        "    try: one(connection, 'SELECT 1')\n"
        "    except pymysql.MySQLError as exc: return [x.details['reason'] for x in api.ended(exc)]\n"
    )
    run("c = h.connect()")
    world.operator.revoke_all()
    world.mariadb.execute(f"KILL {run('own.thread_id()')}")
    assert run("why(own)") == []
    wait_until(lambda: run("why(c)") == ["revoked"], deadline_s=20, what="the end of the session")
    assert run("why(c)") == ["revoked"]


def test_when_the_vault_is_locked_sessions_end_too(world: World) -> None:
    """And what is next says so."""
    run = world.cell.run
    run("c = h.connect()")
    world.operator.call("vault.lock")
    try:
        assert run("outcome(c, 'SELECT sleep(5)')") in (2006, 2013)
        with pytest.raises(Refused) as caught:
            run("h.connect()")
        assert caught.value.kind == "VaultLocked"
    finally:
        world.operator.set_up()
    assert run("one(h.connect(), 'SELECT 1')") == 1


def test_when_the_worker_dies_the_next_connection_works(world: World) -> None:
    """A relay's crash is nobody else's, and nothing to the code but a lost connection."""
    run = world.cell.run
    run("c = h.connect(); e = h.engine(); scalar(e, 'SELECT 1')")
    _, before = relays_below(world.operator.broker.pid)
    assert before
    for worker in before:
        worker.kill()
    assert run("one(h.connect(), 'SELECT 1')") == 1
    _, now = relays_below(world.operator.broker.pid)
    assert now
    assert not set(now) & set(before)


def test_a_server_that_is_away_is_told_and_then_forgotten(world: World) -> None:
    """A restart of the database needs none of the kernel."""
    run = world.cell.run
    run("e = h.engine(pool_pre_ping=True); scalar(e, 'SELECT 1')")
    world.mariadb.stop()
    try:
        with pytest.raises(Refused) as caught:
            run("h.connect()")
        assert caught.value.kind == "UpstreamUnreachable"
        assert caught.value.details["connection"] == repr(world.account.database)
    finally:
        world.mariadb.start()
    assert run("scalar(e, 'SELECT 1')") == 1


def test_a_login_that_the_server_refuses_is_a_typed_error(world: World) -> None:
    """Without a word of the server's."""
    world.mariadb.set_password(world.account, "replaced")
    with pytest.raises(Refused) as caught:
        world.cell.run("h.connect()")
    assert caught.value.kind == "UpstreamAuthFailed"
    assert world.account.user not in str(caught.value)


def test_code_that_says_where_or_as_whom_is_refused(world: World) -> None:
    """Neither at the connection nor at the engine."""
    for name in ELSEWHERE:
        for code in (f"h.connect({name}='x')", f"h.engine(connect_args={{{name!r}: 'x'}})"):
            with pytest.raises(Refused) as caught:
                world.cell.run(code)
            assert caught.value.kind == "ArgumentRefused"


def test_other_tools_work_by_dsn_and_variables(world: World) -> None:
    """A driver of their own, the command line over the socket and over TCP; no password of the database's."""
    run = world.cell.run
    assert run("scalar(sqlalchemy.create_engine(h.dsn, poolclass=sqlalchemy.NullPool), 'SELECT 5')") == 5
    assert world.account.password not in run("h.dsn + str(h.env())")
    for tcp in (False, True):
        url = f"h.env(tcp={tcp})['DATABASE_URL']"
        assert run(f"scalar(sqlalchemy.create_engine({url}, poolclass=sqlalchemy.NullPool), 'SELECT 6')") == 6
    url = "h.env()['DATABASE_SOCKET_URL']"
    assert run(f"scalar(sqlalchemy.create_engine({url}, poolclass=sqlalchemy.NullPool), 'SELECT 7')") == 7


def test_another_library_that_reads_the_engines_url_comes_to_the_relay(world: World) -> None:
    """As an object and as a text."""
    run = world.cell.run
    run("url = h.engine().url")
    for form in ("url", "str(url)"):
        engine = f"sqlalchemy.create_engine({form}, poolclass=sqlalchemy.NullPool)"
        assert run(f"scalar({engine}, 'SELECT database()')") == world.account.database
    assert run("url.password") is None


def test_a_server_that_says_nothing_in_time_is_a_time_out(world: World) -> None:
    """And not a relay that has ended."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        world.edit(port=silent.getsockname()[1], sslmode=world.sslmode)
        body = {"id": world.id, "field": "password", "value": world.account.password}
        world.operator.call("secrets.set", body)
        world.cell.run(f"h = connection({world.account.database!r})")
        with pytest.raises(Refused) as caught:
            world.cell.run("h.connect(read_timeout=1)")
    assert caught.value.kind == "UpstreamTimeout"


def test_no_local_file_is_read_where_the_form_does_not_allow_it(world: World, tmp_path: Path) -> None:
    """Whichever way it is asked for: by an argument, which is told why, or by a program."""
    run = world.cell.run
    (tmp_path / "data").write_text("1\n2\n")
    load = f"LOAD DATA LOCAL INFILE '{tmp_path / 'data'}' INTO TABLE f"
    run("one(h.connect(), 'CREATE TABLE f (n INT)')")
    for code in ("h.connect(local_infile=True)", "h.engine(connect_args={'local_infile': True}).connect()"):
        with pytest.raises(Refused, match="switch it on in the connection's form") as caught:
            run(code)
        assert caught.value.kind == "ArgumentRefused"
    assert run("one(h.connect(local_infile=False), 'SELECT 1')") == 1
    run("env = {**os.environ, **h.env()}")
    run(f"done = subprocess.run(['mysql', '--local-infile=1', '-e', {load!r}], env=env, capture_output=True)")
    assert run("done.returncode") == 1
    assert run("one(h.connect(), 'SELECT count(*) FROM f')") == 0


def test_a_local_file_is_read_where_the_form_allows_it(world: World, tmp_path: Path) -> None:
    """By who asks for it, and no one else."""
    run = world.cell.run
    (tmp_path / "data").write_text("1\n2\n")
    load = f"LOAD DATA LOCAL INFILE '{tmp_path / 'data'}' INTO TABLE f"
    world.edit(local_infile=True, sslmode=world.sslmode)
    run(f"h = connection({world.account.database!r}); one(h.connect(), 'CREATE TABLE f (n INT)')")
    run(f"c = h.connect(local_infile=True, autocommit=True); one(c, {load!r})")
    run("e = h.engine(connect_args={'local_infile': True})")
    run(f"with e.begin() as s: s.execute(text({load!r}))")
    run("env = {**os.environ, **h.env()}")
    run(f"done = subprocess.run(['mysql', '--local-infile=1', '-e', {load!r}], env=env, capture_output=True)")
    assert run("done.returncode") == 0, run("done.stderr")
    assert run("one(c, 'SELECT count(*) FROM f')") == 6
    assert run(f"outcome(h.connect(), {load!r})") in (1148, 4166)


def test_testing_a_mysql_connection_names_the_server(world: World) -> None:
    """The form's button."""
    found = world.operator.call("connections.test", {"id": world.id})
    assert found["ok"], found
    assert found["server"].startswith("MariaDB 10.")


def test_when_fifty_threads_connect_all_are_served(world: World) -> None:
    """Each with a session of its own."""
    code = (
        "found = []\n"
        "def work():\n    c = h.connect()\n    found.append((c, one(c, 'SELECT connection_id()')))\n"
        "ts = [threading.Thread(target=work) for _ in range(50)]\n"
        "[t.start() for t in ts]\n[t.join() for t in ts]"
    )
    world.cell.run(code)
    assert world.cell.run("len({number for _, number in found})") == 50
    assert world.cell.run("all(one(c, 'SELECT connection_id()') == number for c, number in found)")


def test_when_there_are_too_many_the_next_one_is_told(world: World) -> None:
    """A loop that closes nothing ends here, not at the server's own limit; after closing, all is well."""
    run = world.cell.run
    run(f"found = [h.connect() for _ in range({LIMITS.connections})]")
    with pytest.raises(Refused, match="if too many connections are open, close some") as caught:
        run("h.connect()")
    assert caught.value.kind == "BrokerUnavailable"
    run("[c.close() for c in found]; found = c = None; gc.collect()")
    wait_until(
        lambda: world.mariadb.sessions(world.account) == 0, deadline_s=20, what="the end of the sessions"
    )
    assert run("one(h.connect(), 'SELECT 1')") == 1


def test_when_hundreds_have_come_and_gone_no_descriptor_is_left(world: World) -> None:
    """In the requester; closed, forgotten, and handed over."""
    run = world.cell.run
    run("h.connect().close(); gc.collect()")
    count = "len(os.listdir('/proc/self/fd'))"
    before = run(count)
    run("for _ in range(60): h.connect().close()")
    run("for _ in range(60): h.connect()")
    run("gc.collect()")
    assert run(count) == before
    wait_until(
        lambda: world.mariadb.sessions(world.account) == 0, deadline_s=20, what="the end of the sessions"
    )
