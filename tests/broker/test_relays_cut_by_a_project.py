"""Open sessions through real relays end when the project's file says something else than the person accepted."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from setup_hooks.postgresql import Login, PostgresServer
from tests.support.broker.cut_sessions import CUT_S, rule
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.services.projects import Project

# By a port, so that the relay stays between; the other way, the client has the server's own socket.
OPENED = {
    "the server's own socket": "c = h.connect()",
    "through the relay": (
        "import psycopg; o = h._handle_ref.open(tcp=True); c = psycopg.connect(host='127.0.0.1', port=o.port, "
        "user=o.fields['user'], dbname=o.fields['database'], password=o.token, autocommit=True)"
    ),
}


@contextmanager
def project(login: Login) -> Iterator[tuple[Operator, Notebooks, Project]]:
    """A project with one accepted connection to a real PostgreSQL."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder).resolve(), rule=rule, consent=ConsentSettings(cooldown_s=0)) as (
            operator,
            path,
        ),
    ):
        home = Path(folder).resolve()
        shop = Project(home / "shop")
        shop.root.mkdir()
        fields = {
            "host": login.host, "port": login.port, "database": login.database, "user": login.user,
            "sslmode": "disable",
        }  # fmt: skip
        shop.put(provider_id="postgresql", fields=fields)
        (found,) = operator.call("workspaces.list", {"paths": ["shop"]})["workspaces"]
        operator.call(
            "workspaces.accept",
            {
                "workspace": {"root": found["root"], "id": found["entries"][0]["id"]},
                "digest": found["entries"][0]["digest"],
                "secrets": {"password": {"value": login.password}},
            },
        )
        yield operator, Notebooks(operator, home=home, socket_path=path), shop


CHANGES: dict[str, Callable[[Project], object]] = {
    "another host": lambda shop: shop.field(host="localhost"),
    "another user": lambda shop: shop.field(user="postgres"),
    "gone": lambda shop: shop.take_out(),
    "a conflict": lambda shop: shop.text("<<<<<<< HEAD\n"),
    "no file": lambda shop: shop.file.unlink(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("opened", OPENED.values(), ids=OPENED)
def test_a_pulled_change_cuts_what_is_open(
    postgres: PostgresServer, postgres_login: Login, opened: str, change: Callable[[Project], object]
) -> None:
    """Without any further use, in the middle of a query; the server's session ends, too. With the old text, all is as
    before."""
    with project(postgres_login) as (_, notebooks, shop), notebooks.open("shop/a.ipynb") as kernel:
        before = shop.file.read_text()
        kernel.run("h = connection('warehouse', reason='always')")
        kernel.run(opened)
        pid = kernel.run("c.execute('select pg_backend_pid()').fetchone()[0]")
        kernel.begin("c.execute('select pg_sleep(60)')")
        alive = f"select count(*) from pg_stat_activity where pid = {pid}"
        wait_until(
            lambda: postgres.execute(
                f"select 1 from pg_stat_activity where pid = {pid} and wait_event = 'PgSleep'"
            ),
            deadline_s=CUT_S,
            what="the query to run",
        )
        change(shop)
        with pytest.raises(Refused):
            kernel.finish()
        wait_until(
            lambda: "1" not in str(postgres.execute(alive)), deadline_s=CUT_S, what="the session to end"
        )
        _refused(kernel, opened)
        shop.text(before)
        kernel.run(opened)
        assert kernel.run("c.execute('select 1').fetchone()[0]") == 1


def test_a_file_that_says_the_same_in_other_words_cuts_nothing(postgres_login: Login) -> None:
    """Another order, another layout, one more connection: what was accepted is still there."""
    with project(postgres_login) as (operator, notebooks, shop), notebooks.open("shop/a.ipynb") as kernel:
        kernel.run("h = connection('warehouse'); c = h.connect()")
        operator.heard.clear()
        shop.text(shop.file.read_text().replace("\n", " \n"))
        shop.put("Lk41", name="lake")
        wait_until(
            lambda: "connections:changed" in operator.heard,
            deadline_s=CUT_S,
            what="the broker to see the change",
        )
        assert kernel.run("c.execute('select 1').fetchone()[0]") == 1


def _refused(kernel: RequesterProcess, opened: Any) -> None:
    with pytest.raises(Refused) as caught:
        kernel.run(opened)
    assert caught.value.kind in ("ConnectionNotReady", "WorkspaceFileInvalid")
