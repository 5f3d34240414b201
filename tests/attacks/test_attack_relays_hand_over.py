"""A socket that was handed over is in the code's own process: what it can keep of it, and for how long."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from connvault_jupyter.errors import BrokerUnavailable
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.broker_of import runs
from tests.support.broker.copied_sockets import ATTACKER, ended, give_back, warehouse, workers
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess


@pytest.fixture
def notebooks(postgres: PostgresServer, postgres_login: Login) -> Iterator[Notebooks]:
    """A broker of the test's own: some of these tests kill it."""
    consent = ConsentSettings(cooldown_s=0)
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        warehouse(Path(folder), postgres_login, consent=consent) as found,
    ):
        yield found


@pytest.fixture
def kernel(notebooks: Notebooks) -> Iterator[RequesterProcess]:
    with notebooks.open("a.ipynb") as found:
        found.run(ATTACKER)
        found.run("h = connection('warehouse'); c = h.connect(autocommit=True); mine = copy_of(c)")
        assert found.run("c.taken is not None"), "the socket was not handed over"
        yield found


def broker_of(notebooks: Notebooks) -> Any:
    return psutil.Process(notebooks.operator.broker.pid)


def answers(notebooks: Notebooks) -> bool:
    try:
        return bool(notebooks.operator.call("vault.state"))
    except BrokerUnavailable:
        return False


def test_a_copy_of_the_socket_ends_with_the_permission(
    notebooks: Notebooks, kernel: RequesterProcess
) -> None:
    """The broker shuts the connection down, whoever has copies of it."""
    assert kernel.run("asked(mine)")
    notebooks.operator.revoke_all()
    ended(kernel)


def test_a_copy_that_is_kept_after_giving_the_socket_back_ends_with_the_permission(
    notebooks: Notebooks, kernel: RequesterProcess, postgres: PostgresServer
) -> None:
    """The session waits in the relay for the next client then."""
    give_back(kernel, postgres)
    notebooks.operator.revoke_all()
    ended(kernel)


@pytest.mark.parametrize("first", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_stopped_relay_ends_the_copy_all_the_same(
    notebooks: Notebooks, kernel: RequesterProcess, first: signal.Signals
) -> None:
    """Its processes are the same user's, so it can be sent signals; the broker has a copy of its own."""
    for one in workers(notebooks):
        one.send_signal(first)
    notebooks.operator.revoke_all()
    ended(kernel)


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
def test_a_killed_broker_takes_the_copy_with_it(
    notebooks: Notebooks, kernel: RequesterProcess, *, stopped: bool
) -> None:
    """Nobody could revoke it any more. The relay sees the broker's end and cuts, also one that was stopped before."""
    found = workers(notebooks)
    if stopped:
        for one in found:
            one.send_signal(signal.SIGSTOP)
    broker_of(notebooks).kill()
    wait_until(lambda: not any(runs(one.pid) for one in found), deadline_s=10, what="the end of the relay")
    assert not kernel.run("asked(mine)")
    wait_until(lambda: answers(notebooks), deadline_s=20, what="the next broker")


def test_when_relay_and_broker_are_killed_together_the_copy_lives_on(
    notebooks: Notebooks, kernel: RequesterProcess
) -> None:
    """Not stopped: nobody is left that has the connection and would end it."""
    broker = broker_of(notebooks)
    broker.suspend()
    for one in workers(notebooks):
        one.kill()
    broker.kill()
    wait_until(lambda: answers(notebooks), deadline_s=20, what="the next broker")
    assert kernel.run("asked(mine)")


def test_a_killed_relay_ends_a_copy_that_was_kept_after_giving_the_socket_back(
    notebooks: Notebooks, kernel: RequesterProcess, postgres: PostgresServer
) -> None:
    """The broker keeps its own copy until the session has ended."""
    give_back(kernel, postgres)
    for one in workers(notebooks):
        one.kill()
    notebooks.operator.revoke_all()
    ended(kernel)


def test_code_that_changes_its_logins_password_goes_on_without_the_broker(
    notebooks: Notebooks, kernel: RequesterProcess, postgres_login: Login
) -> None:
    """Not stopped: the service lets its users do that. The connection test and the next use say that it fails."""
    statement = f"alter user {postgres_login.user} password 'of the attacker'"
    kernel.run(f"c.execute({statement!r})")
    notebooks.operator.revoke_all()
    ended(kernel)
    kernel.run("import psycopg")
    direct = (
        f"psycopg.connect(host={postgres_login.host!r}, port={postgres_login.port}, user={postgres_login.user!r}, "
        f"dbname={postgres_login.database!r}, password='of the attacker').execute('select 1').fetchone()[0]"
    )
    assert kernel.run(direct) == 1
    kernel.run("h = connection('warehouse')")
    with pytest.raises(Refused) as caught:
        kernel.run("h.connect()")
    assert caught.value.kind == "UpstreamAuthFailed"
