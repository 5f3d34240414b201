"""MySQL's programs in a handle's environment: they come to the relay, whatever option files say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker.mysql_world import World
from tests.support.broker.mysql_world import running as running
from tests.support.broker.mysql_world import world as world
from tests.support.broker.operator import Operator
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.servers.mariadb import mariadb as mariadb


def _programs(world: World, environment: str) -> list[str]:
    """What programs of MariaDB's say of where they are, with the machine's own option files in place."""
    name = world.account.database
    world.cell.run(f"env = {environment}")
    said = []
    for command in (
        ["mariadb", "-NBe", "SELECT database()"],
        ["mysql", "-NBe", "SELECT database()"],
        ["mysqldump", "--no-data", "--databases", name],
        ["mysqlshow", name],
        ["mysqladmin", "extended-status"],
    ):
        world.cell.run(f"done = subprocess.run({command!r}, env=env, capture_output=True, text=True)")
        said.append(world.cell.run("done.stdout + done.stderr"))
    return said


def _are_here(world: World, said: list[str]) -> None:
    name = world.account.database
    assert [text.strip() for text in said[:2]] == [name, name]
    assert f"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `{name}`" in said[2]
    assert f"Database: {name}" in said[3]
    assert "Uptime" in said[4]


@pytest.mark.parametrize("tcp", [False, True])
def test_when_the_machine_has_option_files_programs_still_come_here(world: World, tcp: bool) -> None:
    """Debian's name the socket of the machine's own server, and count more than MYSQL_UNIX_PORT."""
    assert "/run/mysqld/mysqld.sock" in Path("/etc/mysql/my.cnf").read_text()
    _are_here(world, _programs(world, f"{{**os.environ, **h.env(tcp={tcp})}}"))


def test_when_the_handle_has_ended_programs_go_nowhere_else(world: World) -> None:
    """Least of all to the machine's own server."""
    run = world.cell.run
    run("env = {**os.environ, **h.env()}; path = h.dsn.partition('unix_socket=')[2].partition('&')[0]")
    run("h.release()")
    wait_until(lambda: run("not os.path.exists(path)"), deadline_s=20, what="the end of the handle's place")
    for program in ("mysql", "mysqldump"):
        run(f"done = subprocess.run([{program!r}, 'x'], env=env, capture_output=True, text=True)")
        assert run("path in done.stderr"), run("done.stderr")


@pytest.fixture
def own_file(running: tuple[Operator, RequesterProcess]) -> Iterator[Path]:
    """The person's own option file, in the notebook's home."""
    path = Path(running[1].run("os.path.expanduser('~/.my.cnf')"))
    yield path
    path.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "text",
    [
        "[client]\nuser = root\npassword = 'for another server'\n[mysql]\nprompt = '> '\n",
        "[client]\nhost = localhost\n[mysqld]\nsocket = /elsewhere\n[client_prod]\nhost = prod.example.com\n",
    ],
)
def test_when_the_persons_file_says_not_where_programs_come_here(
    world: World, own_file: Path, text: str
) -> None:
    """A password of another server's is not looked at; nor are groups that nobody asked for."""
    own_file.write_text(text)
    _are_here(world, _programs(world, "{**os.environ, 'MYSQL_GROUP_SUFFIX': '_prod', **h.env()}"))


@pytest.mark.parametrize(
    ("text", "tcp", "option"),
    [
        ("[client]\nhost = prod.example.com\n", False, "host"),
        ("[mysqldump]\nsocket=/run/mysqld/mysqld.sock\n", False, "socket"),
        ("[client-server]\nloose_sock=/x\n", False, "socket"),
        ("[client]\nprotocol = TCP\n", False, "protocol"),
        ("[client]\nport = 3307 # prod\n", True, "port"),
        ("[client]\npassword=other\n", True, "password"),
    ],
)
def test_an_option_file_of_the_person_that_says_where_is_refused(
    world: World, own_file: Path, text: str, tcp: bool, option: str
) -> None:
    """Nothing beats it: better no command than one at another server."""
    own_file.write_text(text)
    with pytest.raises(Refused, match=f"my.cnf sets {option} in") as caught:
        world.cell.run(f"h.env(tcp={tcp})")
    assert caught.value.kind == "NotAllowed"


def test_an_option_file_that_includes_one_that_says_where_is_refused(
    world: World, own_file: Path, tmp_path: Path
) -> None:
    """Also through a folder."""
    (tmp_path / "x.cnf").write_text("[client]\nhost=prod.example.com\n")
    own_file.write_text(f"!includedir {tmp_path}\n")
    with pytest.raises(Refused, match=r"my.cnf sets host"):
        world.cell.run("h.env()")
