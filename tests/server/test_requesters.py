"""Real kernels of a real server: the broker knows which notebook each of them serves, through renames and restarts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import JupyterServer, serve
from tests.support.browser.rest import Rest

DEADLINE_S = 30.0

ASK = """
import json
from connvault_jupyter.kernel.broker_client import BrokerClient
def ask(op, **body):
    try:
        print(json.dumps(BrokerClient().ask(op, body, timeout_s=40)))
    except Exception as exc:
        print(json.dumps({"error": type(exc).__name__}))
"""


@dataclass(frozen=True)
class Kernel:
    """A kernel of the server, reached by its connection file."""

    client: BlockingKernelClient
    kernel_id: str
    session_id: str | None

    def run(self, code: str) -> str:
        """What the code prints."""
        printed: list[str] = []

        def output(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            elif message["msg_type"] == "error":
                raise AssertionError("\n".join(message["content"]["traceback"]))

        self.client.execute_interactive(code, timeout=DEADLINE_S, output_hook=output)
        return "".join(printed)

    def begin(self, code: str) -> None:
        self.client.execute(code)

    def ask(self, operation: str, **body: Any) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run(f"ask({operation!r}, **{body!r})"))
        return found


class World:
    """The server, its operator, and what a test needs of both."""

    def __init__(self, server: JupyterServer) -> None:
        self.server = server
        self.rest = Rest(server)
        self._count = 0

    def connection(self) -> tuple[str, str]:
        """(id, name) of a new connection: pauses and grants of other tests don't touch it."""
        self._count += 1
        name = f"c{self._count}"
        fields = {"host": "localhost", "port": 5432, "database": "d", "user": "u"}
        made = self.rest.create(name, "postgresql", fields, {"password": "a-password"})
        return made["connection"]["id"], name

    def notebook(self) -> str:
        self._count += 1
        return self.server.write_notebook(f"report{self._count}.ipynb", "1")

    def send(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.server.request(method, path, json=body)
        assert answer.ok, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    @contextmanager
    def session(self, path: str, kind: str = "notebook") -> Iterator[Kernel]:
        body = {"path": path, "type": kind, "name": path, "kernel": {"name": "python3"}}
        made = self.send("POST", "api/sessions", body)
        with self._client(made["kernel"]["id"], made["id"]) as kernel:
            yield kernel
        self.server.request("DELETE", f"api/sessions/{made['id']}")

    @contextmanager
    def kernel(self) -> Iterator[Kernel]:
        made = self.send("POST", "api/kernels", {"name": "python3"})
        with self._client(made["id"], None) as kernel:
            yield kernel
        self.server.request("DELETE", f"api/kernels/{made['id']}")

    @contextmanager
    def _client(self, kernel_id: str, session_id: str | None) -> Iterator[Kernel]:
        client = BlockingKernelClient(
            connection_file=str(self.server.runtime_dir / f"kernel-{kernel_id}.json")
        )
        client.load_connection_file()
        # No heartbeat: on a busy machine it takes a slow start for a death.
        client.start_channels(hb=False)
        try:
            client.wait_for_ready(timeout=DEADLINE_S)
            kernel = Kernel(client, kernel_id, session_id)
            kernel.run(ASK)
            yield kernel
        finally:
            client.stop_channels()

    def question(self) -> dict[str, Any]:
        found: dict[str, Any] = wait_until(
            lambda: self.rest.call("GET", "access-requests")["access_requests"],
            deadline_s=DEADLINE_S,
            what="a question",
        )[0]
        return found

    def asked_by(self, kernel: Kernel, name: str, decision: str = "deny") -> dict[str, Any]:
        """The requester that a question of this kernel shows; it is answered with `decision`."""
        kernel.begin(f"ask('access.request', connection={name!r})")
        question = self.question()
        self.rest.call(
            "POST",
            f"access-requests/{question['id']}/decision",
            {"decision": decision, "digest": question["digest"]},
        )
        found: dict[str, Any] = question["requester"]
        return {**found, "durations": question["durations"]}

    def grants(self, connection_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.rest.call("GET", f"grants?connection_id={connection_id}")["grants"]
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server with a vault; no tab is open, and a question may wait for one longer than any test takes."""
    with serve(tmp_path_factory.mktemp("kernels"), app="server") as server:
        found = World(server)
        found.rest.set_up()
        yield found


def test_a_kernel_of_a_session_is_its_notebook(world: World) -> None:
    """Path, name and kernel are the server's word."""
    path, (_, name) = world.notebook(), world.connection()
    with world.session(path) as kernel:
        found = world.asked_by(kernel, name)
    assert (found["kind"], found["path"], found["kernel"]) == ("notebook", path, "Python 3 (ipykernel)")
    assert found["key"] == f"notebook:{world.server.root.resolve()}/{path}"
    assert found["instance"].startswith(f"kernel:{kernel.kernel_id}:")
    assert found["durations"] == ["once", "session", "for", "always"]


def test_an_untitled_notebook_is_not_remembered(world: World) -> None:
    """Its name is the next one's too."""
    path, (_, name) = world.server.write_notebook("Untitled7.ipynb", "1"), world.connection()
    with world.session(path) as kernel:
        assert world.asked_by(kernel, name)["durations"] == ["once", "session"]


def test_a_kernel_without_a_session_is_a_console(world: World) -> None:
    """Started by whoever: no document can be named."""
    _, name = world.connection()
    with world.kernel() as kernel:
        found = world.asked_by(kernel, name)
    assert (found["kind"], found["durations"]) == ("console", ["once", "session"])


def test_a_child_process_of_a_kernel_asks_for_the_notebook(world: World) -> None:
    """`!python job.py` in a cell is the cell's doing."""
    path, (_, name) = world.notebook(), world.connection()
    with world.session(path) as kernel:
        kernel.begin(
            "import subprocess, sys; subprocess.run([sys.executable, '-c', "
            f"{ASK + f'ask({chr(39)}access.request{chr(39)}, connection={name!r})'!r}])"
        )
        found = world.question()["requester"]
        world.rest.call(
            "POST",
            f"access-requests/{world.question()['id']}/decision",
            {"decision": "deny", "digest": world.question()["digest"]},
        )
    assert (found["kind"], found["path"]) == ("notebook", path)


def test_a_renamed_notebook_asks_under_its_new_name(world: World) -> None:
    """The session follows the rename, and so does the broker."""
    path, (_, name) = world.notebook(), world.connection()
    with world.session(path) as kernel:
        renamed = f"renamed-{path}"
        world.send("PATCH", f"api/contents/{path}", {"path": renamed})
        world.send("PATCH", f"api/sessions/{kernel.session_id}", {"path": renamed, "name": renamed})
        assert world.asked_by(kernel, name)["path"] == renamed


def test_a_restarted_kernel_has_lost_what_was_for_its_run(world: World) -> None:
    """`session` is until the kernel stops."""
    path, (connection_id, name) = world.notebook(), world.connection()
    with world.session(path) as kernel:
        before = world.asked_by(kernel, name, "session")
        assert [grant["counts"] for grant in world.grants(connection_id)] == [True]
        world.send("POST", f"api/kernels/{kernel.kernel_id}/restart")
        wait_until(lambda: not world.grants(connection_id), deadline_s=DEADLINE_S, what="the grant's end")
        with world._client(kernel.kernel_id, kernel.session_id) as again:
            after = world.asked_by(again, name)
    assert before["key"] == after["key"]
    assert before["instance"] != after["instance"]


def test_a_stopped_kernel_has_lost_what_was_for_its_run(world: World) -> None:
    """Nothing of it is left."""
    path, (connection_id, name) = world.notebook(), world.connection()
    with world.session(path) as kernel:
        world.asked_by(kernel, name, "session")
        assert world.grants(connection_id)
    wait_until(lambda: not world.grants(connection_id), deadline_s=DEADLINE_S, what="the grant's end")


def delete(world: World, path: str) -> None:
    world.send("DELETE", f"api/contents/{path}")


def rename(world: World, path: str) -> None:
    world.send("PATCH", f"api/contents/{path}", {"path": f"away-{path}"})


def upload(world: World, path: str) -> None:
    content = (world.server.root / path).read_text()
    world.send("PUT", f"api/contents/{path}", {"type": "file", "format": "text", "content": content})


def make_again(world: World, path: str) -> None:
    content = json.loads((world.server.root / path).read_text())
    (world.server.root / path).unlink()
    world.send("PUT", f"api/contents/{path}", {"type": "notebook", "content": content})


VOIDING: dict[str, Callable[[World, str], None]] = {
    "deleted": delete,
    "renamed": rename,
    "replaced by an upload": upload,
    "deleted behind Jupyter's back and made again": make_again,
}


@pytest.mark.parametrize("change", VOIDING.values(), ids=VOIDING)
def test_a_remembered_yes_ends_with_its_notebook(world: World, change: Callable[[World, str], None]) -> None:
    """Another file under the same name is another file."""
    path, (connection_id, name) = world.notebook(), world.connection()
    with world.session(path) as kernel:
        world.asked_by(kernel, name, "always")
        assert world.grants(connection_id)
        change(world, path)
        wait_until(lambda: not world.grants(connection_id), deadline_s=DEADLINE_S, what="the grant's end")


def test_a_remembered_yes_survives_an_ordinary_save(world: World) -> None:
    """Every edit would end it otherwise."""
    path, (connection_id, name) = world.notebook(), world.connection()
    content = json.loads((world.server.root / path).read_text())
    with world.session(path) as kernel:
        world.asked_by(kernel, name, "always")
        world.send("PUT", f"api/contents/{path}", {"type": "notebook", "content": content})
        # The channel keeps the order: what a save would have caused is done by now.
        world.rest.call("GET", "vault")
        assert [grant["counts"] for grant in world.grants(connection_id)] == [True]


def test_kernels_inherit_the_socket_s_path(world: World) -> None:
    """That is how they find the broker; the directory is ours alone."""
    with world.kernel() as kernel:
        path = Path(kernel.run("import os; print(os.environ['CONNVAULT_SOCKET'])").strip())
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
