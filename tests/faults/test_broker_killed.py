"""`kill -9` of the broker or of the server, seen from a kernel: a typed error at once, then the same handle again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.broker_of import broker_of, kill_broker, runs
from tests.support.broker.processes import wait_until
from tests.support.browser.jupyter_server import JupyterServer, StartJupyterServer, serve
from tests.support.browser.remote_kernel import CellFailed, RemoteKernel, notebook_kernel, open_tab
from tests.support.browser.rest import Rest
from tests.support.folders import short_tmp_path as short_tmp_path
from tests.support.servers.echo_api import EchoApi, echo_api
from tests.support.servers.secret_service import secret_service_session

TOKEN = "token-of-the-killed-broker"

# The promise is 1 s; a machine that runs other tests beside this one gets more. Each test notes what it took.
ALLOWED_S = 20.0

ASK = "from connvault_jupyter import connection\nh = connection('api', reason='report')"

# Prints how the line ended and when; the clock is the machine's, so the test can tell how long after the kill.
TIMED = """
import json, time
began = time.monotonic()
try:
    {line}
    outcome = "ok"
except BaseException as error:
    outcome = type(error).__name__
print(json.dumps({{"outcome": outcome, "took_s": time.monotonic() - began, "at": time.monotonic()}}))
"""


def timed(line: str) -> str:
    return TIMED.format(line=line)


@pytest.fixture(scope="module")
def api() -> Iterator[EchoApi]:
    with echo_api() as found:
        yield found


def prepared(server: JupyterServer, api: EchoApi) -> Rest:
    """With the connection `api`, whose vault is open."""
    rest = Rest(server)
    if rest.named("api") is None:
        rest.create(
            "api", "http", {"base_url": api.origin, "auth": "bearer", "allow_http": True}, {"token": TOKEN}
        )
    return rest


@pytest.fixture(scope="module")
def with_keyring(tmp_path_factory: pytest.TempPathFactory, api: EchoApi) -> Iterator[Rest]:
    """A server whose vault a real Secret Service keeps."""
    with secret_service_session(tmp_path_factory.mktemp("keyring")) as service:
        env = {"DBUS_SESSION_BUS_ADDRESS": service.env["DBUS_SESSION_BUS_ADDRESS"]}
        config = {"ConnvaultExtension": {"custodian": "os_keyring"}}
        home = tmp_path_factory.mktemp("killed")
        with serve(home, app="server", env=env, config=config) as server, open_tab(server):
            rest = Rest(server)
            wait_until(lambda: rest.send("GET", "vault").ok, deadline_s=20, what="the broker")
            rest.call("POST", "vault/setup", {"custodian": "os_keyring"})
            yield prepared(server, api)


@pytest.fixture(scope="module")
def with_passphrase(tmp_path_factory: pytest.TempPathFactory, api: EchoApi) -> Iterator[Rest]:
    with serve(tmp_path_factory.mktemp("killed"), app="server") as server, open_tab(server):
        Rest(server).set_up()
        yield prepared(server, api)


def question_of(rest: Rest) -> Any:
    return wait_until(rest.questions, deadline_s=20, what="the question")[0]


@pytest.fixture
def kernel(request: pytest.FixtureRequest) -> Iterator[RemoteKernel]:
    """Of the server that the test uses, on a saved notebook of its own."""
    name = "with_keyring" if "with_keyring" in request.fixturenames else "with_passphrase"
    server = request.getfixturevalue(name).server
    path = server.write_notebook(f"{request.node.name}.ipynb", ASK)
    with notebook_kernel(server, path) as found:
        yield found


def granted(rest: Rest, kernel: RemoteKernel, decision: str = "session") -> None:
    """The kernel has a handle `h` and used it."""
    kernel.begin(ASK)
    assert rest.decide(question_of(rest), decision).ok
    kernel.finish()
    assert kernel.run("print(h.session().get('/before').status_code)").strip() == "200"


def asked_so_far(rest: Rest) -> int:
    return len(rest.audit(type="access:asked"))


def test_an_open_question_ends_at_once_and_is_closed_on_record(
    with_passphrase: Rest, kernel: RemoteKernel, record_property: Callable[[str, object], None]
) -> None:
    """The cell gets `BrokerUnavailable` within a second; the next broker finds the orphan and closes it."""
    rest = with_passphrase
    kernel.begin(timed("from connvault_jupyter import connection; connection('api')"))
    question = question_of(rest)
    killed, at = kill_broker(rest.server)
    seen = json.loads(kernel.finish())
    after_s = seen["at"] - at
    assert seen["outcome"] == "BrokerUnavailable", seen
    assert after_s <= ALLOWED_S, f"{after_s:.3f} s after the kill"
    record_property("an open question failed, s after the kill", round(after_s, 3))
    broker_of(rest.server, other_than=killed)
    rest.set_up()
    rows = [row for row in rest.audit() if row["question_id"] == question["id"]]
    assert [row["type"] for row in rows] == ["access:interrupted", "access:asked"]
    assert rest.questions() == []
    assert rest.call("GET", "audit/verification")["consistent"] is True


def test_with_a_keyring_the_same_handle_works_again(
    with_keyring: Rest, kernel: RemoteKernel, api: EchoApi, record_property: Callable[[str, object], None]
) -> None:
    """The next use fails typed or works, within a second; soon it works, with the secret, and nobody is asked."""
    rest = with_keyring
    granted(rest, kernel)
    asked = asked_so_far(rest)
    kill_broker(rest.server)
    first = json.loads(kernel.run(timed("h.session().get('/after')")))
    assert first["outcome"] in ("ok", "BrokerUnavailable"), first
    assert first["took_s"] <= ALLOWED_S, f"{first['took_s']:.3f} s"
    record_property(f"the next use: {first['outcome']}, s", round(first["took_s"], 3))

    def works() -> bool:
        return bool(json.loads(kernel.run(timed("h.session().get('/again')")))["outcome"] == "ok")

    wait_until(works, deadline_s=10, what="the same handle")
    assert api.headers_of("/again")["Authorization"] == f"Bearer {TOKEN}"
    assert asked_so_far(rest) == asked
    assert rest.call("GET", "vault")["state"] == "unlocked"


def test_with_a_passphrase_the_same_handle_works_after_unlocking(
    with_passphrase: Rest, kernel: RemoteKernel, api: EchoApi, record_property: Callable[[str, object], None]
) -> None:
    """Until then it is `VaultLocked`, which says what to do; nobody is asked again."""
    rest = with_passphrase
    granted(rest, kernel)
    asked = asked_so_far(rest)
    killed, _ = kill_broker(rest.server)
    first = json.loads(kernel.run(timed("h.session().get('/after')")))
    assert first["outcome"] in ("VaultLocked", "BrokerUnavailable"), first
    assert first["took_s"] <= ALLOWED_S, f"{first['took_s']:.3f} s"
    record_property(f"the next use: {first['outcome']}, s", round(first["took_s"], 3))
    broker_of(rest.server, other_than=killed)
    wait_until(lambda: rest.send("GET", "vault").ok, deadline_s=20, what="the next broker")
    with pytest.raises(CellFailed) as caught:
        kernel.run("h.session().get('/locked')")
    assert caught.value.kind == "VaultLocked"
    rest.unlock()
    kernel.run("h.session().get('/unlocked')")
    assert api.headers_of("/unlocked")["Authorization"] == f"Bearer {TOKEN}"
    assert asked_so_far(rest) == asked


def test_a_crashed_broker_is_a_typed_problem_for_the_page(with_passphrase: Rest) -> None:
    """Between two brokers every route answers 503 with a code, and then again as before."""
    rest = with_passphrase
    kill_broker(rest.server)
    seen = set()

    def back() -> bool:
        answer = rest.send("GET", "connections")
        seen.add((answer.status_code, answer.json().get("code")))
        return answer.ok

    wait_until(back, deadline_s=20, what="the next broker")
    assert seen <= {(200, None), (503, "broker_unavailable")}
    rest.set_up()
    assert rest.named("api")["connection"]["status"] == "ready"


def test_a_killed_server_takes_its_broker_along(
    start_jupyter_server: StartJupyterServer, record_property: Callable[[str, object], None]
) -> None:
    """`kill -9` of the server: no broker with an open vault stays behind."""
    server = start_jupyter_server(app="server")
    Rest(server).set_up()
    broker = broker_of(server)
    began = time.monotonic()
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not runs(broker), deadline_s=20, what="the broker's end")
    record_property("the broker ended, s after its server", round(time.monotonic() - began, 3))


def test_what_a_killed_server_left_behind_hinders_no_other(short_tmp_path: Path) -> None:
    """The same home again: the vault is there, the old socket's folder is not, and a kernel finds the new broker."""
    with serve(short_tmp_path, app="server") as server:
        Rest(server).set_up()
        Rest(server).create("api", "http", {"base_url": "https://api.test", "auth": "none"}, {})
        broker = broker_of(server)
        before = list(server.runtime_dir.glob("connvault-*"))
        os.kill(server.pid, signal.SIGKILL)
        wait_until(lambda: not runs(broker), deadline_s=20, what="the broker's end")
    with serve(short_tmp_path, app="server") as server:
        Rest(server).set_up()
        left = list(server.runtime_dir.glob("connvault-*"))
        assert len(left) == 1
        assert left != before
        with notebook_kernel(server, server.write_notebook("again.ipynb")) as kernel:
            names = kernel.value("[c.name for c in __import__('connvault_jupyter').connections()]")
            assert names == ["api"]
