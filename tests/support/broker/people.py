"""People at their own servers, each with a vault and with a clone of one git repository that has a project's file."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..services.projects import FIELDS, Project
from .in_clear import IN_CLEAR
from .notebook_processes import Notebooks
from .operator import Operator, operated_broker
from .requester import RequesterProcess, requester_process

# Nobody's, on any system that tests run on; and two of them, as they must not be each other's.
USERS = (40_001, 40_002)

_REPOSITORY = Path(__file__).resolve().parents[3]

_BECOME = (
    "import os, sys; who = int(sys.argv[1]); os.setgroups([]); os.setgid(who); os.setuid(who); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


@dataclass
class Person:
    """A person at their own server, with a clone of the repository in its folder `shop`."""

    name: str
    operator: Operator
    notebooks: Notebooks
    shop: Project
    settings: Path

    def git(self, *arguments: str, fails: bool = False) -> None:
        """Their git, without the configuration of whoever runs the tests."""
        _git(self.shop.root, self.settings, self.name, *arguments, fails=fails)

    def share(self, message: str) -> None:
        self.git("add", ".connvault")
        self.git("commit", "-qm", message)
        self.git("push", "-q", "origin", "HEAD:main")

    def pull(self) -> None:
        self.git("pull", "-q", "--no-rebase", "origin", "main")

    def create(self, name: str, **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = self.operator.call(
            "connections.create",
            {
                "provider_id": IN_CLEAR,
                "name": name,
                "scope": "workspace",
                "workspace": "shop",
                "fields": {**FIELDS, **fields},
                "secrets": {"password": {"value": f"of {self.name}"}},
            },
        )["connection"]
        return made

    def listed(self) -> dict[str, Any]:
        found: dict[str, Any] = self.operator.call("workspaces.list", {"paths": ["shop"]})["workspaces"][0]
        return found

    def states(self) -> dict[str, str]:
        return {(one["block"] or one["accepted"])["name"]: one["state"] for one in self.listed()["entries"]}

    def accept(self, name: str, password: str = "") -> dict[str, Any]:
        found = self.listed()
        shown = next(one for one in found["entries"] if one["block"]["name"] == name)
        body = {
            "workspace": {"root": found["root"], "id": shown["id"]},
            "digest": shown["digest"],
            "secrets": {"password": {"value": password}} if password else {},
        }
        return self.operator.call("workspaces.accept", body)

    def connection(self, name: str) -> dict[str, Any]:
        """Theirs, as it is now."""
        every = [dict(one["connection"]) for one in self.operator.call("connections.list")["connections"]]
        return next(one for one in every if one["name"] == name)

    def change(self, called: str, **changes: Any) -> None:
        now = self.connection(called)
        body = {"id": now["id"], "revision": now["revision"], **changes}
        self.operator.call("connections.update", body)


@contextmanager
def person(home: Path, name: str, origin: Path) -> Iterator[Person]:
    """`home` exists, and is theirs alone."""
    settings = home / "gitconfig"
    # The repository is another user's, which git takes for an attack.
    settings.write_text("[safe]\n\tdirectory = *\n[init]\n\tdefaultBranch = main\n")
    with operated_broker(home) as (operator, path):
        _git(home, settings, name, "clone", "-q", str(origin), "shop")
        notebooks = Notebooks(operator, home=home, socket_path=path)
        yield Person(name, operator, notebooks, Project(home / "shop"), settings)


def shared_repository(folder: Path) -> Path:
    """An empty repository that everybody who can enter `folder` may push to."""
    origin = folder / "origin"
    command = ["git", "init", "-q", "--bare", "--shared=0666", "-b", "main", str(origin)]
    subprocess.run(command, check=True)
    return origin


def can_be_two_users() -> bool:
    """Whether processes can be of two other users here: by root, where these ids exist and may enter the folders of
    this Python and of the tests."""
    if os.geteuid() != 0:
        return False
    command = [*become(USERS[0]), sys.executable, "-c", "import tests.support.broker.people"]
    return subprocess.run(command, cwd=_REPOSITORY, capture_output=True, check=False).returncode == 0


def become(user: int) -> list[str]:
    """What to put before a command, so that it runs as this user. Only root may."""
    return [sys.executable, "-c", _BECOME, str(user)]


@contextmanager
def person_process(home: Path, name: str, origin: Path, *, user: int | None) -> Iterator[RequesterProcess]:
    """A process that is a person at their server (`me`), with a notebook of the project (`notebook`). `user`: whose
    process it is, and everything that it starts; `None`: ours."""
    for folder in (home, home / ".run"):
        folder.mkdir(mode=0o700)
        if user is not None:
            os.chown(folder, user, user)
    with requester_process(home, "", inside=() if user is None else become(user)) as process:
        process.run(
            "import contextlib, os, pathlib; from tests.support.broker import people; "
            "opened = contextlib.ExitStack(); "
            f"home, origin = pathlib.Path({str(home)!r}), pathlib.Path({str(origin)!r}); "
            f"me = opened.enter_context(people.person(home, {name!r}, origin)); "
            "notebook = opened.enter_context(me.notebooks.open('shop/a.ipynb'))"
        )
        try:
            yield process
        finally:
            with suppress(AssertionError):
                process.run("opened.close()")


def _git(folder: Path, settings: Path, name: str, *arguments: str, fails: bool = False) -> None:
    who = {f"GIT_{role}_{part}": name for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, **who, "GIT_CONFIG_GLOBAL": str(settings), "GIT_CONFIG_NOSYSTEM": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
