"""Two people, each with a vault of their own, and one git repository with a project's connections."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.in_clear import IN_CLEAR
from tests.support.broker.people import Person, person, shared_repository
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.services.projects import FIELDS


@pytest.fixture
def origin() -> Iterator[Path]:
    """An empty repository that both may push to."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        yield shared_repository(Path(name).resolve())


@contextmanager
def at_home(origin: Path, name: str) -> Iterator[Person]:
    home = origin.parent / name
    home.mkdir()
    with person(home, name, origin) as found:
        yield found


@pytest.fixture
def ada(origin: Path) -> Iterator[Person]:
    """She makes the project's first connection."""
    with at_home(origin, "ada") as found:
        found.create("warehouse")
        found.share("The warehouse")
        yield found


@pytest.fixture
def bob(origin: Path, ada: Person) -> Iterator[Person]:
    """He clones what Ada has pushed."""
    with at_home(origin, "bob") as found:
        yield found


def password(process: RequesterProcess, name: str) -> Any:
    return process.run(f"dict(connection({name!r}, reason='r')._handle_ref.deliver().secrets)['password'][:]")


def refused(process: RequesterProcess, name: str) -> str:
    with pytest.raises(Refused) as caught:
        process.run(f"connection({name!r}, reason='r')")
    return str(caught.value)


def test_a_teammate_gets_the_connection_and_enters_their_own_secret(ada: Person, bob: Person) -> None:
    """What is pushed has no secret; each uses their own; nothing of either gets to the other."""
    assert (
        b"of ada"
        not in subprocess.run(["git", "log", "-p"], cwd=bob.shop.root, capture_output=True, check=True).stdout
    )
    assert bob.states() == {"warehouse": "new"}
    with ada.notebooks.open("shop/a.ipynb") as hers, bob.notebooks.open("shop/a.ipynb") as his:
        assert "you have not accepted it yet" in refused(his, "warehouse")
        bob.accept("warehouse", "of bob")
        assert (password(hers, "warehouse"), password(his, "warehouse")) == ("of ada", "of bob")
    assert bob.states() == {"warehouse": "accepted"}


def test_a_pulled_change_of_the_host_gets_no_old_secret(ada: Person, bob: Person) -> None:
    """Bob reviews it, and enters the secret again; then both go on."""
    bob.accept("warehouse", "of bob")
    made = ada.operator.call("connections.list")["connections"][0]["connection"]
    change = {"id": made["id"], "revision": made["revision"], "fields": {**FIELDS, "host": "new.example.org"}}
    ada.operator.call("connections.update", {**change, "secrets": {"password": {"value": "of ada, new"}}})
    ada.share("Another host")
    with bob.notebooks.open("shop/a.ipynb") as his:
        assert password(his, "warehouse") == "of bob"
        bob.git("pull", "-q", "origin", "main")
        assert bob.states() == {"warehouse": "changed"}
        assert "changed this connection in shop/.connvault/connections.json" in refused(his, "warehouse")
        assert bob.accept("warehouse")["secrets"] == {}
        found = bob.operator.call("connections.list")["connections"][0]["connection"]
        assert (found["fields"]["host"], found["status_reason"]) == ("new.example.org", "destination_changed")
        bob.operator.call("secrets.set", {"id": found["id"], "field": "password", "value": "of bob, new"})
        assert password(his, "warehouse") == "of bob, new"


def test_the_same_name_twice_is_told_with_both_places(ada: Person, bob: Person) -> None:
    """In a file that git has merged without a word: both lines. Among one's own and the project's: both places."""
    bob.shop.put("zzzz", name="lake")
    bob.share("A lake")
    ada.shop.put("-", name="Lake")
    ada.git("commit", "-qam", "A lake, too")
    ada.git("pull", "-q", "--no-rebase", "origin", "main")
    problem = ada.listed()["problem"]
    assert problem.startswith("shop/.connvault/connections.json has two connections of one name at line ")
    bob.operator.create("warehouse", IN_CLEAR, FIELDS, {"password": "own"})
    with bob.notebooks.open("shop/a.ipynb") as his:
        clash = refused(his, "warehouse")
    assert "one of your own, and one of the project, in shop/.connvault/connections.json" in clash
    assert bob.states() == {"warehouse": "name_taken", "lake": "new"}


def test_a_conflict_is_told_with_its_line_and_loses_nothing(ada: Person, bob: Person) -> None:
    """What was accepted rests until the file is whole again; then it is used without a question about it."""
    bob.shop.put("zzzz", name="lake")
    bob.share("A lake")
    ada.shop.put("zzzx", name="river")
    ada.git("commit", "-qam", "A river")
    with ada.notebooks.open("shop/a.ipynb") as hers:
        assert password(hers, "warehouse") == "of ada"
        ada.git("pull", "-q", "--no-rebase", "origin", "main", fails=True)
        assert "has the markers of a merge conflict (line " in ada.listed()["problem"]
        assert "merge conflict" in refused(hers, "warehouse")
        ada.git("checkout", "-q", "--theirs", ".connvault")
        assert password(hers, "warehouse") == "of ada"
    assert ada.states() == {"warehouse": "accepted", "lake": "new"}


def test_two_branches_that_add_connections_merge(ada: Person, bob: Person) -> None:
    """Blocks are sorted by their ids, and whole."""
    bob.shop.put("zzzz", name="lake")
    bob.share("A lake")
    ada.shop.put("-", name="river")
    ada.git("commit", "-qam", "A river")
    ada.git("pull", "-q", "--no-rebase", "origin", "main")
    assert ada.states() == {"warehouse": "accepted", "lake": "new", "river": "new"}
