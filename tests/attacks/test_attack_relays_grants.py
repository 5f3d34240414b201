"""Two permissions for one connection in one notebook: what was opened under one of them ends with that one."""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.copied_sockets import ATTACKER, ended, give_back, warehouse, workers
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.requester import RequesterProcess
from tests.support.servers.mariadb import Account
from tests.support.servers.mariadb import account as account
from tests.support.servers.mariadb import mariadb as mariadb

# Bare MySQL beside bare PostgreSQL: COM_QUERY, whose answer has the number in it.
MYSQL = """
def asked_mysql(stream):
    "Whether the session still answers."
    try:
        stream.settimeout(5)
        query = b"\\x03select 4711"
        stream.sendall(len(query).to_bytes(3, "little") + b"\\0" + query)
        said = b""
        while b"4711" not in said:
            data = stream.recv(4096)
            if not data:
                return False
            said += data
        return True
    except OSError:
        return False
"""


# A child that inherits the copy, and waits for its end until a time-out of its own.
HEIR = (
    ATTACKER
    + """
import sys
mine = socket.socket(fileno=int(sys.argv[1]))
print("it answers" if asked(mine) else "it does not answer", flush=True)
mine.settimeout(15)
try:
    while mine.recv(4096):
        pass
    print("it has ended", flush=True)
except TimeoutError:
    print("it goes on", flush=True)
except OSError:
    print("it has ended", flush=True)
"""
)


def by_reason(question: dict[str, Any]) -> str:
    words = question["reasons"][-1] if question["reasons"] else "session"
    return str(words) if words in ("once", "session", "for") else "session"


@pytest.fixture
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cv-") as folder:
        yield Path(folder)


@pytest.fixture
def notebooks(home: Path, postgres_login: Login) -> Iterator[Notebooks]:
    """A broker of the test's own, whose relays may be killed."""
    consent = ConsentSettings(cooldown_s=0, for_s=6)
    with warehouse(home, postgres_login, consent=consent, rule=by_reason) as found:
        yield found


@pytest.fixture
def kernel(notebooks: Notebooks) -> Iterator[RequesterProcess]:
    """`h` is the notebook's own handle, with a session of it; `g` an agent's, by a permission of its own."""
    with notebooks.open("a.ipynb") as found:
        found.run(ATTACKER + MYSQL)
        found.run("h = connection('warehouse'); own = h.connect(autocommit=True)")
        found.run("g = connection('warehouse', agent='assistant')")
        yield found


def grant_of(notebooks: Notebooks, connection: str, agent: str | None) -> str:
    (found,) = (
        view["grant"]["id"]
        for view in notebooks.operator.call("grants.list")["grants"]
        if view["connection"] == connection and view["grant"]["agent"] == agent
    )
    return str(found)


def revoke(notebooks: Notebooks, agent: str | None, connection: str = "warehouse") -> None:
    notebooks.operator.call("grants.revoke", {"id": grant_of(notebooks, connection, agent)})


def take(kernel: RequesterProcess, handle: str = "g") -> None:
    kernel.run(f"c = {handle}.connect(autocommit=True); mine = copy_of(c)")
    assert kernel.run("c.taken is not None"), "the socket was not handed over"


KEPT = ["in use", "given back", "kept after the goodbye"]


@pytest.mark.parametrize("how", KEPT)
def test_a_copy_ends_with_its_own_permission_though_there_is_another_one(
    notebooks: Notebooks, kernel: RequesterProcess, postgres: PostgresServer, how: str
) -> None:
    """The agent's is taken back; what the notebook has opened by its own goes on."""
    take(kernel)
    if how == "given back":
        give_back(kernel, postgres)
    if how == "kept after the goodbye":
        kernel.run("c.taken.end()")
    revoke(notebooks, "assistant")
    ended(kernel)
    assert kernel.run("own.execute('select 1').fetchone()[0]") == 1
    assert kernel.run("h.connect().execute('select 1').fetchone()[0]") == 1


def test_a_copy_of_the_notebooks_own_ends_though_the_agent_goes_on(
    notebooks: Notebooks, kernel: RequesterProcess, postgres: PostgresServer
) -> None:
    """The other way round, and back in the pool."""
    take(kernel, "h")
    give_back(kernel, postgres)
    kernel.run("agents = g.connect(autocommit=True)")
    revoke(notebooks, None)
    ended(kernel)
    assert kernel.run("agents.execute('select 1').fetchone()[0]") == 1


def test_a_copy_of_one_use_ends_when_its_handle_is_released(
    notebooks: Notebooks, kernel: RequesterProcess, postgres: PostgresServer
) -> None:
    """ "This time" is a permission of its own: a second one beside it changes nothing."""
    kernel.run("one = connection('warehouse', agent='b', reason='once')")
    take(kernel, "one")
    give_back(kernel, postgres)
    kernel.run("one.release()")
    ended(kernel)
    assert kernel.run("own.execute('select 1').fetchone()[0]") == 1


def test_a_copy_ends_when_its_permission_expires(kernel: RequesterProcess, postgres: PostgresServer) -> None:
    """Nobody does anything."""
    kernel.run("short = connection('warehouse', agent='c', reason='for')")
    take(kernel, "short")
    give_back(kernel, postgres)
    ended(kernel)
    assert kernel.run("own.execute('select 1').fetchone()[0]") == 1


def test_a_session_that_code_had_in_its_hands_is_no_other_permissions(
    kernel: RequesterProcess, postgres: PostgresServer
) -> None:
    """A copy would read and write along, as somebody who has more time or another name."""
    take(kernel)
    pid = kernel.run("c.info.backend_pid")
    give_back(kernel, postgres)
    others = kernel.run("[one.info.backend_pid for one in [h.connect() for _ in range(4)]]")
    assert pid not in others


@pytest.mark.parametrize("first", [signal.SIGKILL, signal.SIGSTOP])
def test_a_copy_whose_relay_is_killed_or_stopped_ends_with_its_own_permission(
    notebooks: Notebooks, kernel: RequesterProcess, postgres: PostgresServer, first: signal.Signals
) -> None:
    """The broker knows by which permission it was passed on."""
    take(kernel)
    give_back(kernel, postgres)
    for one in workers(notebooks):
        one.send_signal(first)
    revoke(notebooks, "assistant")
    ended(kernel)


def test_a_handles_row_led_to_another_permission_keeps_no_session(
    notebooks: Notebooks, kernel: RequesterProcess, home: Path
) -> None:
    """Rows of handles have no MAC: the copy was opened by the first permission and ends with it."""
    kernel.run("one = connection('warehouse', agent='b', reason='once')")
    take(kernel, "one")
    first = grant_of(notebooks, "warehouse", "b")
    kernel.run("two = connection('warehouse', agent='b', reason='session')")
    with closing(sqlite3.connect(home / "vault" / "connvault.db", timeout=5)) as database, database:
        second = [
            view["grant"]["id"]
            for view in notebooks.operator.call("grants.list")["grants"]
            if view["grant"]["agent"] == "b" and view["grant"]["id"] != first
        ]
        changed = database.execute(
            "UPDATE handles SET grant_id = ?, expires_at = NULL WHERE grant_id = ?", (*second, first)
        )
        assert changed.rowcount == 1
    notebooks.operator.call("grants.revoke", {"id": first})
    ended(kernel)


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Another process of the same user has the database's write lock."""
    with closing(
        sqlite3.connect(home / "vault" / "connvault.db", isolation_level=None, timeout=5)
    ) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


def test_a_database_that_somebody_holds_puts_off_no_expiry(kernel: RequesterProcess, home: Path) -> None:
    """Time needs no row to be written."""
    kernel.run("short = connection('warehouse', agent='c', reason='for')")
    take(kernel, "short")
    with held(home):
        ended(kernel)


def test_a_database_that_somebody_holds_saves_no_session_of_a_kernel_that_ends(
    notebooks: Notebooks, home: Path
) -> None:
    """A child of the kernel goes on with a copy, and with what tells the relay that the socket is in use."""
    read, write = os.pipe()
    with notebooks.open("b.ipynb") as kernel, os.fdopen(read) as said:
        kernel.run(ATTACKER + "h = connection('warehouse')")
        take(kernel, "h")
        kernel.run(
            f"import subprocess, sys; out = os.open('/proc/{os.getpid()}/fd/{write}', os.O_WRONLY);"
            f"child = subprocess.Popen([sys.executable, '-c', {HEIR!r}, str(mine.fileno())],"
            " pass_fds=[mine.fileno(), c.taken._lifeline], stdout=out, stdin=subprocess.DEVNULL)"
        )
        os.close(write)
        assert said.readline() == "it answers\n"
        with held(home):
            kernel.process.kill()
            assert said.readline() == "it has ended\n"


@pytest.mark.parametrize("how", ["in use", "kept after the goodbye"])
def test_a_copy_of_a_mysql_session_ends_with_its_own_permission(
    notebooks: Notebooks, kernel: RequesterProcess, account: Account, how: str
) -> None:
    """The same where sessions are never used again."""
    notebooks.operator.create("orders", "mysql", account.fields(), {"password": account.password})
    kernel.run("h = connection('orders'); own = h.connect(autocommit=True)")
    kernel.run(
        "g = connection('orders', agent='assistant'); c = g.connect(autocommit=True); mine = copy_of(c._sock)"
    )
    assert kernel.run("g.delivery") == "hand_over"
    if how == "kept after the goodbye":
        kernel.run("import gc; c._rfile = c._sock = c = None; gc.collect()")
    revoke(notebooks, "assistant", "orders")
    ended(kernel, "asked_mysql(mine)")
    assert kernel.run("own.ping(reconnect=False)") is None
