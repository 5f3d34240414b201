"""Two people who share a project: one story with two OS users, a vault for each, and a real git repository.

As root: two other users (`people.USERS`), each with their own home, whose processes can't read each other's. Otherwise
(or where those users do not exist, or may not enter the folder of the tests): one user with two homes. The story is the
same.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.people import USERS, can_be_two_users, person_process, shared_repository
from tests.support.broker.processes import wait_until
from tests.support.broker.requester import Refused, RequesterProcess


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        folder = Path(name).resolve()
        folder.chmod(0o755)
        before = os.umask(0o022)
        try:
            yield folder
        finally:
            os.umask(before)


def test_two_people_share_a_project_and_no_secret() -> None:
    """Created, pushed, cloned; needs one's own secret; a changed host after a pull; the same name twice."""
    two = can_be_two_users()
    users: tuple[int | None, ...] = USERS if two else (None, None)
    with _folder() as folder, ExitStack() as opened:
        origin = shared_repository(folder)
        ada = opened.enter_context(person_process(folder / "ada", "ada", origin, user=users[0]))
        ada.run("me.create('warehouse'); me.share('The warehouse')")
        bob = opened.enter_context(person_process(folder / "bob", "bob", origin, user=users[1]))
        assert (ada.run("os.getuid()") == bob.run("os.getuid()")) == (not two)
        _nothing_of_hers_is_his(ada, bob, folder, two=two)
        _he_needs_his_own_secret(ada, bob)
        _a_changed_host_gets_no_old_secret(ada, bob)
        _one_name_in_two_places_is_told(ada, bob)
        _one_name_twice_in_the_file_is_told(ada, bob)


def _nothing_of_hers_is_his(ada: RequesterProcess, bob: RequesterProcess, folder: Path, *, two: bool) -> None:
    assert bob.run("[one.name for one in me.shop.file.parent.iterdir()]") == ["connections.json"]
    assert "of ada" not in bob.run("me.shop.file.read_text()")
    if two:
        assert bob.run("me.shop.file.stat().st_uid") == USERS[1]
        for where in ("vault", "shop"):
            with pytest.raises(Refused, match="PermissionError"):
                bob.run(f"os.listdir({str(folder / 'ada' / where)!r})")
        assert ada.run("sorted({one.stat().st_uid for one in (home / 'vault').iterdir()})") == [USERS[0]]


def _he_needs_his_own_secret(ada: RequesterProcess, bob: RequesterProcess) -> None:
    assert bob.run("me.states()") == {"warehouse": "new"}
    assert "needs your own secret" in bob.run("notebook.run('repr(connections())')")
    assert "WorkspaceNotAccepted" in _refusal(bob, "warehouse")
    assert bob.run("me.accept('warehouse')['connection']['status_reason']") == "secret_missing"
    assert "SecretMissing" in _refusal(bob, "warehouse")
    _enter(bob, "of bob")
    assert (_password(ada, "warehouse"), _password(bob, "warehouse")) == ("of ada", "of bob")


def _a_changed_host_gets_no_old_secret(ada: RequesterProcess, bob: RequesterProcess) -> None:
    bob.run("notebook.run(\"h = connection('warehouse', reason='r')\")")
    ada.run(
        "me.change('warehouse', fields={**me.connection('warehouse')['fields'], 'host': 'new.example.org'}, "
        "secrets={'password': {'value': 'of ada, new'}}); me.share('Another host')"
    )
    assert _password(bob, "warehouse") == "of bob"
    bob.run("me.pull()")
    assert bob.run("me.states()") == {"warehouse": "changed"}
    with pytest.raises(Refused, match="changed this connection in shop"):
        bob.run("notebook.run('h._handle_ref.deliver()')")
    assert "changed this connection in shop/.connvault/connections.json" in _refusal(bob, "warehouse")
    _until(
        lambda: (
            bob.run(
                "[(row['code'], row['field']) for row in me.notebooks.record(type='connection:changed_in_project')]"
            )
            == [["workspace_changed", "host"]]
        ),
    )
    assert bob.run("me.accept('warehouse')['secrets']") == {}
    assert "SecretMissing" in _refusal(bob, "warehouse")
    assert bob.run("me.operator.call('grants.list')['grants']") == []
    _enter(bob, "of bob, new")
    assert (_password(ada, "warehouse"), _password(bob, "warehouse")) == ("of ada, new", "of bob, new")


def _one_name_in_two_places_is_told(ada: RequesterProcess, bob: RequesterProcess) -> None:
    bob.run("me.operator.create('lake', people.IN_CLEAR, people.FIELDS, {'password': 'own'})")
    assert _password(bob, "lake") == "own"
    ada.run("me.create('Lake'); me.share('A lake')")
    bob.run("me.pull()")
    assert bob.run("me.states()") == {"warehouse": "accepted", "Lake": "name_taken"}
    for name in ("lake", "Lake"):
        assert "one of your own, and one of the project, in shop/.connvault/connections.json" in _refusal(
            bob, name
        )
    bob.run("me.change('lake', name='pond')")
    bob.run("me.accept('Lake', 'of bob')")
    assert (_password(bob, "pond"), _password(bob, "Lake")) == ("own", "of bob")


def _one_name_twice_in_the_file_is_told(ada: RequesterProcess, bob: RequesterProcess) -> None:
    """git merges without a word; both lines are named, and what each has stays as it was."""
    # First and last in the file: next to each other they would be a conflict.
    bob.run("me.shop.put('zzzz', name='river'); me.share('A river')")
    ada.run("me.shop.put('-', name='River'); me.git('commit', '-qam', 'A river, too')")
    ada.run("me.pull()")
    problem = ada.run("me.listed()['problem']")
    assert "has two connections of one name at line " in problem
    assert "has two connections of one name at line " in _refusal(ada, "warehouse")
    ada.run("me.git('reset', '-q', '--hard', 'origin/main')")
    assert ada.run("sorted(me.states().items())") == [
        ["Lake", "accepted"], ["river", "new"], ["warehouse", "accepted"],
    ]  # fmt: skip


def _enter(who: RequesterProcess, password: str) -> None:
    who.run(
        "me.operator.call('secrets.set', {'id': me.connection('warehouse')['id'], 'field': 'password', "
        f"'value': {password!r}}})"
    )


def _password(who: RequesterProcess, name: str) -> Any:
    code = f"dict(connection({name!r}, reason='r')._handle_ref.deliver().secrets)['password'][:]"
    return who.run(f"notebook.run({code!r})")


def _refusal(who: RequesterProcess, name: str) -> str:
    code = f"connection({name!r}, reason='r')"
    with pytest.raises(Refused) as caught:
        who.run(f"notebook.run({code!r})")
    return str(caught.value)


def _until(found: Callable[[], bool]) -> None:
    wait_until(found, deadline_s=20, what="the broker's timer")
