"""Code in a notebook that keeps copies of handed-over sockets, against a broker of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connvault_jupyter.contracts.supervision import ConsentSettings
from setup_hooks.postgresql import Login, PostgresServer

from ..browser.rest import postgresql_fields
from ..relays.relay_process import relays_below
from .notebook_processes import Notebooks
from .operator import Rule, allow_session, operated_broker
from .processes import wait_until
from .requester import RequesterProcess

# Speaks PostgreSQL on a bare socket, and keeps copies of handed-over sockets.
ATTACKER = """
import os, socket, struct

def asked(stream):
    "Whether the session still answers."
    try:
        stream.settimeout(5)
        query = b"select 4711\\0"
        stream.sendall(b"Q" + struct.pack(">I", len(query) + 4) + query)
        said = b""
        while b"4711" not in said:
            data = stream.recv(4096)
            if not data:
                return False
            said += data
        return True
    except OSError:
        return False

def copy_of(connection):
    return socket.socket(fileno=os.dup(connection.fileno()))
"""


@contextmanager
def warehouse(
    home: Path,
    login: Login,
    *,
    consent: ConsentSettings,
    rule: Rule | None = allow_session,
) -> Iterator[Notebooks]:
    """Notebooks of a broker that has one PostgreSQL connection of this name; broker and relays may be killed."""
    with operated_broker(home, rule=rule, consent=consent) as (operator, path):
        fields = {**postgresql_fields(login), "sslmode": "disable"}
        operator.create("warehouse", "postgresql", fields, {"password": login.password})
        yield Notebooks(operator, home=home, socket_path=path)


def workers(notebooks: Notebooks) -> list[Any]:
    return relays_below(notebooks.operator.broker.pid)[1]


def give_back(kernel: RequesterProcess, postgres: PostgresServer) -> None:
    """Returns when the relay has reset the session, the last of which is a number that it asks for."""
    pid = kernel.run("c.info.backend_pid")
    kernel.run("c.close()")
    reset = (
        f"select 1 from pg_stat_activity where pid = {pid} and state = 'idle' and query ~ '^SELECT [0-9]+$'"
    )
    wait_until(lambda: postgres.execute(reset), deadline_s=10, what="the session's return")


def ended(kernel: RequesterProcess, question: str = "asked(mine)") -> None:
    """The copy is of no use any more."""
    wait_until(lambda: not kernel.run(question), deadline_s=20, what="the end of the session")
