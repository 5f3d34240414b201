"""A real broker with an SSH connection to a real sshd, a person by rule, and processes that ask: the whole path."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.requester import RequesterProcess
from tests.support.servers.sshd import SshServer, UserKey, new_key
from tests.support.servers.sshd import sshd as sshd

# What a cell of the test has: `h`, and `ssh(...)`, which runs the program with the handle's agent and nothing else of
# this user's.
_PRELUDE = """
import os, subprocess
h = connection({name!r}, reason="session")

def environment():
    return {{**os.environ, "SSH_AUTH_SOCK": h.agent_socket}}

def ssh(*arguments, timeout=30):
    command = ["ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentityFile=none",
               "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile={known_hosts}", "-p", "{port}",
               *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)
    return [done.returncode, done.stdout.strip(), done.stderr.strip()]
"""


class SshWorld:
    """`define` makes a connection for a key, `asking` a notebook's kernel that has a handle for it as `h`."""

    def __init__(self, operator: Operator, socket_path: str, sshd: SshServer, home: Path) -> None:
        self.operator = operator
        self.socket_path = socket_path
        self.sshd = sshd
        self.home = home
        self._notebooks = Notebooks(operator, home=home, socket_path=socket_path)
        self._numbers = itertools.count(1)
        self._ids: dict[str, str] = {}

    def define(self, key: UserKey, **fields: Any) -> str:
        """The name of a new connection to the sshd."""
        name = f"build-{next(self._numbers)}"
        made = self.operator.create(name, "ssh", {**self.sshd.fields, **fields}, key.secrets)
        self._ids[name] = made["connection"]["id"]
        return name

    def rotate(self, name: str, key: UserKey) -> None:
        """Replaces the private key."""
        self.operator.call(
            "secrets.set", {"id": self._ids[name], "field": "private_key", "value": key.private}
        )

    def change(self, name: str, **fields: Any) -> None:
        """Edits fields as a person does in the form; `None`: emptied."""
        found = self.operator.call("connections.get", {"id": self._ids[name]})["connection"]
        kept = {field: value for field, value in {**found["fields"], **fields}.items() if value is not None}
        self.operator.call(
            "connections.update", {"id": self._ids[name], "revision": found["revision"], "fields": kept}
        )

    def test(self, name: str) -> dict[str, Any]:
        """The outcome of a connection test."""
        found: dict[str, Any] = self.operator.call("connections.test", {"id": self._ids[name]})
        return found

    @contextlib.contextmanager
    def asking(self, name: str) -> Iterator[RequesterProcess]:
        with self._notebooks.open(f"{name}-{next(self._numbers)}.ipynb") as process:
            process.run(_PRELUDE.format(name=name, known_hosts=self.sshd.known_hosts, port=self.sshd.port))
            yield process


@contextlib.contextmanager
def ssh_world(sshd: SshServer) -> Iterator[SshWorld]:
    """Takes a second or two: once a module."""
    with (
        tempfile.TemporaryDirectory(prefix="cv-") as folder,
        operated_broker(Path(folder), consent=ConsentSettings(cooldown_s=0)) as (operator, path),
    ):
        yield SshWorld(operator, path, sshd, Path(folder))


@pytest.fixture(scope="module")
def key(sshd: SshServer) -> UserKey:
    """The one that the server lets in."""
    made = new_key()
    sshd.let_in(made)
    return made


@pytest.fixture(scope="module")
def world(sshd: SshServer) -> Iterator[SshWorld]:
    with ssh_world(sshd) as made:
        yield made
