"""A vault on a disk that is really full: nothing is given without a record, and what takes permissions away works.

The server runs in a mount namespace of its own with a small tmpfs as the vault's folder; its kernels, which share the
namespace, fill it and free it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import serve
from tests.support.browser.remote_kernel import CellFailed, RemoteKernel, notebook_kernel, open_tab
from tests.support.browser.rest import Rest
from tests.support.servers.echo_api import EchoApi, echo_api

# Root may mount in a new mount namespace; anybody else becomes root of a new user namespace first.
_OWN_MOUNTS = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-Urm")
_MOUNT = 'mkdir -p "$1" && mount -t tmpfs -o size=6m,mode=700 tmpfs "$1" && shift && exec "$@"'

ASK = "from connvault_jupyter import connection\nh = connection('api')"
USE = "print(h.session().get('/x').status_code)"

FILL = """
import os, pathlib
def fill(path):
    with open(path, "ab", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass
fill({path!r})
"""

# SQLite may still have room in its own files: it goes on, on record, until there is none. The broker empties its WAL
# about once a second, which makes room again; so full is what is full before and after that.
USE_UP = """
import time
used, ended = 0, ""
while used < 20_000:
    try:
        h._handle_ref.open()
    except Exception as error:
        if ended:
            break
        ended = type(error).__name__
        time.sleep(2)
    else:
        used, ended = used + 1, ""
print(used, ended)
"""


class Disk:
    """The vault's folder, seen through a kernel of its server."""

    def __init__(self, folder: Path, kernel: RemoteKernel) -> None:
        self._filler = str(folder / "filler")
        self._kernel = kernel

    def fill(self) -> None:
        self._kernel.run(FILL.format(path=self._filler))

    def free(self) -> None:
        self._kernel.run(f"import os; os.unlink({self._filler!r})")


@pytest.fixture(scope="module")
def api() -> Iterator[EchoApi]:
    with echo_api() as found:
        yield found


@pytest.fixture
def rest(tmp_path: Path, api: EchoApi) -> Iterator[Rest]:
    """A server on a disk of 6 MiB, set up, with the connection `api`."""
    vault = tmp_path / "vault"
    config = {"ConnvaultExtension": {"data_dir": str(vault)}}
    inside = (*_OWN_MOUNTS, "sh", "-c", _MOUNT, "sh", str(vault))
    with serve(tmp_path, app="server", config=config, inside=inside) as server, open_tab(server):
        rest = Rest(server)
        rest.set_up()
        fields = {"base_url": api.origin, "auth": "bearer", "allow_http": True}
        rest.create("api", "http", fields, {"token": "token-on-a-full-disk"})
        yield rest


@contextmanager
def kernel_on(rest: Rest, name: str) -> Iterator[RemoteKernel]:
    with notebook_kernel(rest.server, rest.server.write_notebook(f"{name}.ipynb", ASK)) as kernel:
        yield kernel


@pytest.fixture
def disk(rest: Rest, tmp_path: Path) -> Iterator[Disk]:
    with kernel_on(rest, "filler") as kernel:
        yield Disk(tmp_path / "vault", kernel)


def ask(rest: Rest, kernel: RemoteKernel) -> Any:
    """The kernel waits for an answer to this question."""
    kernel.begin(ASK)
    return wait_until(rest.questions, deadline_s=20, what="the question")[0]


def granted(rest: Rest, kernel: RemoteKernel, decision: str) -> None:
    assert rest.decide(ask(rest, kernel), decision).ok
    kernel.finish()


def refused(kernel: RemoteKernel, code: str) -> str:
    with pytest.raises(CellFailed) as caught:
        kernel.run(code)
    return caught.value.kind


def count(rest: Rest, kind: str) -> int:
    found, before = 0, ""
    while True:
        page = rest.call("GET", f"audit?type={kind}&limit=500{before}")
        found += len(page["events"])
        if page["next_before"] is None:
            return found
        before = f"&before={page['next_before']}"


def test_on_a_full_disk_use_is_refused_and_what_takes_away_works(rest: Rest, disk: Disk) -> None:
    """Use and new grants: `StorageFull`; deny, revoke and lock: done. With space again all goes on, nothing is lost."""
    with (
        kernel_on(rest, "user") as user,
        kernel_on(rest, "denied") as denied,
        kernel_on(rest, "late") as late,
    ):
        granted(rest, user, "always")
        user.run(USE)
        question = ask(rest, denied)
        before, opened_before = rest.named("api"), count(rest, "access:checked")

        disk.fill()
        used, ended = user.run(USE_UP).split()
        assert ended == "StorageFull"
        assert count(rest, "access:checked") == opened_before + int(used)
        assert refused(late, ASK) == "StorageFull"
        refusal = rest.send("POST", "connections", {"provider_id": "http", "name": "x" * 64})
        assert (refusal.status_code, refusal.json()["code"]) == (507, "storage_full")

        # Reading needs no space, and says what there is.
        assert rest.named("api")["connection"] == before["connection"]
        assert rest.decide(question, "deny").ok
        with pytest.raises(CellFailed) as caught:
            denied.finish()
        assert caught.value.kind == "AccessDenied"
        (grant,) = rest.grants()
        rest.call("DELETE", f"grants/{grant['grant']['id']}")
        assert rest.grants() == []
        assert refused(user, USE) == "HandleInvalid"
        assert rest.call("POST", "vault/lock", {})["state"] == "locked"
        assert refused(user, ASK) in ("VaultLocked", "StorageFull")

        disk.free()
        rest.unlock()
        granted(rest, user, "session")
        assert user.run(USE).strip() == "200"
        assert rest.named("api")["connection"] == before["connection"]
        assert count(rest, "grant:revoked") == 1
        assert rest.call("GET", "audit/verification")["consistent"] is True


def test_a_full_disk_while_the_question_is_open_gives_nothing(rest: Rest, disk: Disk) -> None:
    """A yes that can't be recorded is no yes: the person is told, and can say it again when there is space."""
    with kernel_on(rest, "user") as user, kernel_on(rest, "other") as other:
        granted(rest, other, "session")
        question = ask(rest, user)
        disk.fill()
        # Whatever room SQLite has in its own files is used up first.
        assert other.run(USE_UP).split()[1] == "StorageFull"
        answer = rest.decide(question, "always")
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_full")
        assert [view["grant"]["decision"] for view in rest.grants()] == ["session"]
        disk.free()
        (still_open,) = rest.questions()
        assert rest.decide(still_open, "session").ok
        user.finish()
        assert user.run(USE).strip() == "200"
