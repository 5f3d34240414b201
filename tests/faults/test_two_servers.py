"""Two Jupyter Servers on one vault, at the same time: no lost update, no corrupt file, one record, one truth."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.remote_kernel import CellFailed, RemoteKernel, notebook_kernel, open_tab
from tests.support.browser.rest import PASSPHRASE, Rest
from tests.support.servers.echo_api import EchoApi, echo_api
from tests.support.servers.secret_service import SecretService

ASK = "from connvault_jupyter import connection\nh = connection('shared')"
USE = "print(h.session().get('/x').status_code)"

# Each of the two servers does this much at once with the other.
CHANGES = 40
MADE = 12
USES = 150


@dataclass(frozen=True)
class Pair:
    """Two servers with homes of their own, and the folder of the vault that they share."""

    first: Rest
    second: Rest
    vault: Path

    @property
    def both(self) -> tuple[Rest, Rest]:
        return self.first, self.second

    def set_up(self) -> None:
        self.first.set_up()
        self.second.set_up()


@contextmanager
def two_servers(folder: Path, *, env: dict[str, str] | None = None) -> Iterator[Pair]:
    """Started at the same moment on a vault folder that is not there yet."""
    config = {"ConnvaultExtension": {"data_dir": str(folder / "vault")}}

    def start(name: str) -> JupyterServer:
        return stack.enter_context(serve(folder / name, app="server", config=config, env=env))

    with ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            servers = list(pool.map(start, ("a", "b")))
        for server in servers:
            stack.enter_context(open_tab(server))
        pair = Pair(Rest(servers[0]), Rest(servers[1]), folder / "vault")
        wait_until(
            lambda: all(rest.send("GET", "vault").ok for rest in pair.both),
            deadline_s=20,
            what="both brokers",
        )
        yield pair


@pytest.fixture(scope="module")
def api() -> Iterator[EchoApi]:
    with echo_api() as found:
        yield found


@pytest.fixture(scope="module")
def running_pair(tmp_path_factory: pytest.TempPathFactory, api: EchoApi) -> Iterator[Pair]:
    with two_servers(tmp_path_factory.mktemp("two")) as pair:
        pair.set_up()
        yield pair


@pytest.fixture
def pair(running_pair: Pair, api: EchoApi) -> Iterator[Pair]:
    """Both unlocked, with the connection `shared`, made in the first."""
    running_pair.set_up()
    create(running_pair.first, "shared", api.origin)
    yield running_pair
    running_pair.set_up()
    running_pair.second.delete_all()


def create(rest: Rest, name: str, origin: str) -> Any:
    fields = {"base_url": origin, "auth": "bearer", "allow_http": True}
    return rest.create(name, "http", fields, {"token": f"token-of-{name}"})


@contextmanager
def granted_kernel(rest: Rest, name: str) -> Iterator[RemoteKernel]:
    """A kernel with a handle `h` for `shared`, until it stops."""
    with notebook_kernel(rest.server, rest.server.write_notebook(f"{name}.ipynb", ASK)) as kernel:
        kernel.begin(ASK)
        question = wait_until(rest.questions, deadline_s=20, what="the question")[0]
        assert rest.decide(question, "session").ok
        kernel.finish()
        yield kernel


def together(*tasks: Callable[[], Any]) -> list[Any]:
    """Runs all from the same moment on; their results, or the first failure."""
    barrier = threading.Barrier(len(tasks))

    def run(task: Callable[[], Any]) -> Any:
        barrier.wait(timeout=20)
        return task()

    with ThreadPoolExecutor(len(tasks)) as pool:
        return list(pool.map(run, tasks))


def count_up(rest: Rest) -> int:
    """Adds one to the number in `counted`'s display name, again and again; how often the other was first."""
    late = 0
    for _ in range(CHANGES):
        while True:
            seen = rest.named("counted")["connection"]
            body = {"display_name": str(int(seen["display_name"] or 0) + 1)}
            answer = rest.send("PATCH", f"connections/{seen['id']}", body, revision=seen["revision"])
            if answer.ok:
                break
            assert answer.json()["code"] == "revision_conflict", answer.text
            late += 1
    return late


def make_and_delete(rest: Rest, prefix: str, origin: str) -> None:
    """Makes connections and deletes every other one."""
    for number in range(MADE):
        made = create(rest, f"{prefix}{number}", origin)["connection"]
        if number % 2:
            rest.call("DELETE", f"connections/{made['id']}", revision=made["revision"])


# On a connection of its own each: requests on one connection share a use for a second.
_USE = f"""
import socket
place = h._handle_ref.open().socket
def worked():
    with socket.socket(socket.AF_UNIX) as stream:
        stream.connect(place)
        stream.sendall(b"GET /x HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
        return stream.recv(100).startswith(b"HTTP/1.1 200")
print(sum(worked() for _ in range({USES})))
"""


def use(kernel: RemoteKernel) -> int:
    """Uses the handle `USES` times; how often it worked."""
    return int(kernel.run(_USE))


def rows(rest: Rest, kind: str) -> int:
    found, before = 0, ""
    while True:
        page = rest.call("GET", f"audit?type={kind}&limit=500{before}")
        found += len(page["events"])
        if page["next_before"] is None:
            return found
        before = f"&before={page['next_before']}"


def integrity(vault: Path) -> list[str]:
    with sqlite3.connect(vault / "connvault.db") as database:
        found = [row[0] for row in database.execute("PRAGMA integrity_check")]
        broken = database.execute("PRAGMA foreign_key_check").fetchall()
    database.close()
    return found + [str(row) for row in broken]


def test_hammering_from_both_loses_nothing(
    pair: Pair, api: EchoApi, record_property: Callable[[str, object], None]
) -> None:
    """Changes, new and deleted connections and uses at once: every one counts, once, and the record is one chain."""
    used_before = rows(pair.first, "access:used")
    # Of its own: what a dialog has shown of `shared` must not change while it is used.
    revision = create(pair.first, "counted", api.origin)["connection"]["revision"]
    with granted_kernel(pair.first, "a") as one, granted_kernel(pair.second, "b") as two:
        results = together(
            lambda: count_up(pair.first),
            lambda: count_up(pair.second),
            lambda: make_and_delete(pair.first, "left", api.origin),
            lambda: make_and_delete(pair.second, "right", api.origin),
            lambda: use(one),
            lambda: use(two),
        )
    record_property("changes that met another one and were repeated", results[0] + results[1])
    assert results[4:] == [USES, USES]
    expected = {"shared", "counted", *(f"{side}{n}" for side in ("left", "right") for n in range(0, MADE, 2))}
    for rest in pair.both:
        counted = rest.named("counted")["connection"]
        assert counted["display_name"] == str(2 * CHANGES)
        assert counted["revision"] == revision + 2 * CHANGES
        assert {v["connection"]["name"] for v in rest.call("GET", "connections")["connections"]} == expected
        assert rows(rest, "access:used") == used_before + 2 * USES
        assert rest.call("GET", "audit/verification")["consistent"] is True
    assert integrity(pair.vault) == ["ok"]


def test_a_revoke_in_one_bites_in_the_other(pair: Pair) -> None:
    """At the very next use, in the kernel of the server that nobody told."""
    with granted_kernel(pair.first, "revoked") as kernel:
        assert kernel.run(USE).strip() == "200"
        (grant,) = pair.second.grants()
        pair.second.call("DELETE", f"grants/{grant['grant']['id']}")
        with pytest.raises(CellFailed) as caught:
            kernel.run(USE)
        assert caught.value.kind == "HandleInvalid"


def test_a_secret_replaced_in_one_is_sent_by_the_other(pair: Pair, api: EchoApi) -> None:
    """At the next request."""
    with granted_kernel(pair.first, "rotated") as kernel:
        kernel.run(USE)
        shared = pair.second.named("shared")["connection"]
        pair.second.call("PUT", f"connections/{shared['id']}/secrets/token", {"value": "rotated-token"})
        kernel.run("h.session().get('/rotated')")
        assert api.headers_of("/rotated")["Authorization"] == "Bearer rotated-token"


def test_a_destination_changed_in_one_voids_the_grant_in_the_other(pair: Pair) -> None:
    """A handle never leads somewhere that nobody was asked about."""
    with granted_kernel(pair.first, "moved") as kernel:
        kernel.run(USE)
        shared = pair.second.named("shared")["connection"]
        fields = {**shared["fields"], "base_url": "https://elsewhere.test"}
        pair.second.call(
            "PATCH", f"connections/{shared['id']}", {"fields": fields}, revision=shared["revision"]
        )
        with pytest.raises(CellFailed) as caught:
            kernel.run(USE)
        assert caught.value.kind in ("HandleInvalid", "SecretMissing")


def test_a_lock_in_one_leaves_the_other_unlocked(pair: Pair) -> None:
    """Each server has its own key in memory."""
    with granted_kernel(pair.first, "locked") as one, granted_kernel(pair.second, "open") as two:
        pair.first.call("POST", "vault/lock", {})
        assert two.run(USE).strip() == "200"
        with pytest.raises(CellFailed) as caught:
            one.run(USE)
        assert caught.value.kind == "VaultLocked"
        assert pair.second.call("GET", "vault")["state"] == "unlocked"
        pair.first.unlock()
        assert one.run(USE).strip() == "200"


def test_a_second_server_that_comes_and_goes_ends_nothing_of_the_first(
    pair: Pair, tmp_path: Path, api: EchoApi
) -> None:
    """Its broker looks after runs that ended; the first one's kernel has not."""
    config = {"ConnvaultExtension": {"data_dir": str(pair.vault)}}
    with granted_kernel(pair.first, "kept") as kernel:
        kernel.run(USE)
        with serve(tmp_path, app="server", config=config) as third:
            Rest(third).set_up()
            # It knows its kernels from now on, and compares.
            with notebook_kernel(third, third.write_notebook("x.ipynb")) as other:
                other.run("from connvault_jupyter import connections; connections()")
            assert kernel.run(USE).strip() == "200"
        assert kernel.run(USE).strip() == "200"


def both_usable(pair: Pair, answers: list[Any], origin: str) -> None:
    assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
    assert 200 in {answer.status_code for answer in answers}
    assert rows(pair.first, "vault:set_up") == 1
    for rest in pair.both:
        if rest.call("GET", "vault")["state"] == "locked":
            custodian = rest.call("GET", "vault")["custodian"]
            rest.call("POST", "vault/unlock", {"passphrase": PASSPHRASE} if custodian == "passphrase" else {})
    create(pair.first, "shared", origin)
    with granted_kernel(pair.second, "other") as kernel:
        assert kernel.run(USE).strip() == "200"
    assert pair.second.call("GET", "audit/verification")["consistent"] is True


def test_both_set_up_the_vault_at_the_same_moment_with_a_passphrase(tmp_path: Path, api: EchoApi) -> None:
    """One master key: what the first seals, the second opens."""
    body = {"custodian": "passphrase", "passphrase": PASSPHRASE}
    with two_servers(tmp_path) as pair:
        answers = together(*(lambda rest=rest: rest.send("POST", "vault/setup", body) for rest in pair.both))
        both_usable(pair, answers, api.origin)


def test_both_set_up_the_vault_at_the_same_moment_in_the_keyring(
    tmp_path: Path, api: EchoApi, secret_service: SecretService
) -> None:
    """One vault, and exactly one item in the keyring."""
    env = {"DBUS_SESSION_BUS_ADDRESS": secret_service.env["DBUS_SESSION_BUS_ADDRESS"]}
    with two_servers(tmp_path, env=env) as pair:
        body = {"custodian": "os_keyring"}
        answers = together(*(lambda rest=rest: rest.send("POST", "vault/setup", body) for rest in pair.both))
        both_usable(pair, answers, api.origin)
    listed = secret_service.run_python(
        "import secretstorage; c = secretstorage.get_default_collection(secretstorage.dbus_init());"
        "print(len(list(c.get_all_items())))"
    )
    assert listed.stdout.strip() == "1", listed.stderr
