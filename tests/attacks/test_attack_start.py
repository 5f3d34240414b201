"""Being there between exec and the hardening, as the same ordinary user: memory, descriptors, a tracer. Linux.

Each is tried where the system closes a process from its first instruction (`unreadable`), and where it can't (`plain`).
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.broker.unprivileged import run_unprivileged

# Plain letters: looked for in frames of JSON and in memory, where they stand as they are.
SECRET = "canary-of-the-start-7f31"
LATER = "a-name-that-comes-later"

_BEGIN = r"""
import json, logging, os, socket, subprocess, sys, threading
from pathlib import Path
from connvault_jupyter.broker import spawn
from connvault_jupyter.broker.hardening import become_non_dumpable
from tests.support.broker.operator import operated_broker
from tests.support.broker.racer import Racer
home, secret, later, way, how = Path(sys.argv[1]), *sys.argv[2:]
assert become_non_dumpable()
if way == "plain":
    spawn.unreadable_loader = lambda: None
"""

# Hardens itself as the server extension does and has a broker, of which the racer takes what it can at its start.
BROKER = (
    _BEGIN
    + r"""
racer = Racer(home / "racer", marker="connvault_jupyter.broker")
os.environ["PYTHONPATH"] = racer.on_the_path()
with operated_broker(home) as (operator, _):
    took = racer.took()["took"]
    operator.create(later, "secret", {}, {"value": secret})
    memory = racer.told("memory", secret, later)["found"]
    racer.told("stop")
    body = {"provider_id": "secret", "name": "other", "fields": {}, "secrets": {"value": {"value": secret}}}
    pending = operator.broker.call("connections.create", body)
    sockets = racer.told("sockets", secret)["found"]
    racer.told("continue")
    racer.end()
print(json.dumps({"took": took, "memory": memory, "sockets": sockets}))
"""
)

# The broker's relays: a login is sent to a worker, whose end of the pipe goes by way of the zygote.
ZYGOTE = (
    _BEGIN
    + r"""
from datetime import datetime, timezone
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.relays.broker_answers import BrokerAnswers
from connvault_jupyter.relays.supervisor import RelaySupervisor
racer = Racer(home / "racer", marker="relay_process")
supervisor = RelaySupervisor(
    start_zygote=spawn.Spawner(racer.at_its_gate("connvault_jupyter.broker.relay_process")),
    directory=home / "h",
    broker=BrokerAnswers(
        login=lambda *_: None, sighted=lambda _: None, has_ended=lambda _: False, still_good=lambda *_: True,
        version=lambda: 0, alive=lambda _: True,
    ),
    clock=lambda: datetime.now(timezone.utc),
    lock=threading.RLock(), log=logging.getLogger(),
)
with socket.create_server(("127.0.0.1", 0)) as server:
    port = server.getsockname()[1]
fields = {"host": "127.0.0.1", "port": port, "sslmode": "disable"}
login = {"fields": fields, "secrets": {"password": secret}, "revision": 1, "rotation": ""}

def tried():
    try:
        supervisor.try_login("redis", login, 5)
    except ConnvaultError as exc:
        return exc.code

first = tried()
took = racer.took()["took"]
racer.told("stop")
trying = threading.Thread(target=tried)
trying.start()
sockets = racer.told("sockets", secret)["found"]
racer.told("continue")
trying.join()
racer.end()
supervisor.close()
print(json.dumps({"took": took, "sockets": sockets, "first": first}))
"""
)

# A process that hardens nothing, asked as the others are.
CONTROL = (
    _BEGIN
    + r"""
racer = Racer(home / "racer", marker="unhardened")
ours, theirs = socket.socketpair()
code = "import socket; told = socket.socket(fileno=THEIRS); first = told.recv(99); told.send(b'+'); input()"
plain = subprocess.Popen(
    [sys.executable, "-c", code.replace("THEIRS", str(theirs.fileno())), "unhardened"],
    pass_fds=[theirs.fileno()], stdin=subprocess.PIPE, env={**os.environ, "PYTHONPATH": racer.on_the_path()},
)
took = racer.took()["took"]
ours.send(secret.encode())
ours.recv(1)
memory = racer.told("memory", secret, later)["found"]
racer.told("stop")
ours.send(later.encode())
sockets = racer.told("sockets", later)["found"]
racer.told("continue")
racer.end()
plain.communicate()
print(json.dumps({"took": took, "memory": memory, "sockets": sockets}))
"""
)

# A Jupyter server, of which the racer takes what it can at its start; then a secret is typed.
SERVER = (
    _BEGIN
    + r"""
from tests.support.browser.jupyter_server import serve
from tests.support.browser.rest import Rest
racer = Racer(home / "racer", marker="jupyter-server" if how == "ordinary" else "jupyter-connvault")
if way == "plain":
    with open(racer.gate / "sitecustomize.py", "a") as file:
        file.write("\ndef forbidden(*_):\n    raise OSError\nos.fchmod = forbidden\n")
environment = {"PYTHONPATH": racer.on_the_path()}
with serve(home / "server", app="server", env=environment, launched=how != "ordinary") as server:
    took = racer.took()["took"]
    rest = Rest(server)
    rest.set_up()
    rest.create(later, "secret", {}, {"value": secret})
    memory = racer.told("memory", secret, later)["found"]
    racer.end()
print(json.dumps({"took": took, "memory": memory, "log": server.log()}))
"""
)

# The launcher of a Jupyter server, to which a debugger is attached when it has only just been started.
LAUNCHER = (
    _BEGIN
    + r"""
racer = Racer(home / "racer", marker="connvault_jupyter.cli", how="seize")
launcher = subprocess.Popen(
    [sys.executable, "-m", "connvault_jupyter.cli.main", "server"], stderr=subprocess.PIPE, text=True,
    env={**os.environ, "PYTHONPATH": racer.on_the_path()},
)
took = racer.took()["took"]
said = launcher.stderr.readline()
racer.end()
launcher.stderr.close()
print(json.dumps({"took": took, "said": said, "status": launcher.wait()}))
"""
)

# What the owner of a broker is told while somebody interferes, and after.
DISTURBED = (
    _BEGIN
    + r"""
from concurrent.futures import Future
from connvault_jupyter._version import __version__
from connvault_jupyter.broker.broker_process import BrokerProcess
from connvault_jupyter.contracts.supervision import BrokerSettings
from connvault_jupyter.errors import ConnvaultError
(home / "s").mkdir(mode=0o700)
racer = Racer(home / "racer", marker="connvault_jupyter.broker", how=how)
os.environ["PYTHONPATH"] = racer.on_the_path()
logging.basicConfig(stream=sys.stderr)
broker = BrokerProcess(log=logging.getLogger("owner"))
broker.start(BrokerSettings(
    data_dir=str(home / "vault"), socket_path=str(home / "s" / "b"), server_root=str(home), version=__version__,
    custodian="passphrase",
))
refused = []
setup = {"custodian": "passphrase", "passphrase": secret}
while True:
    try:
        broker.call("vault.setup", setup).result(30)
        break
    except ConnvaultError as exc:
        if (exc.code, exc.message) not in refused:
            refused.append((exc.code, exc.message))
        if refused == [(exc.code, exc.message)] and how == "seize":
            took = racer.took()
            racer.end()
            how = "ended"
if how != "ended":
    took = racer.took()
    heard = racer.told("sockets", secret)["found"]
    racer.end()
else:
    heard = []
broker.stop()
print(json.dumps({"took": took["took"], "refused": refused, "heard": heard}))
"""
)


def raced(code: str, home: Any, way: str, how: str = "take") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_unprivileged(code, str(home), SECRET, LATER, way, how, home=home))
    return found


@pytest.fixture(scope="module", params=["unreadable", "plain"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def broker(way: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was got of a broker: at its start, and by that later."""
    return raced(BROKER, tmp_path_factory.mktemp("broker"), way)


@pytest.fixture(scope="module")
def zygote(way: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return raced(ZYGOTE, tmp_path_factory.mktemp("zygote"), way)


def test_memory_opened_at_the_start_shows_nothing_later(broker: dict[str, Any]) -> None:
    """Neither a secret nor a name that the broker heard of afterwards."""
    assert broker["memory"] == []


def test_a_copy_of_the_channel_made_at_the_start_hears_nothing(broker: dict[str, Any]) -> None:
    """Also while the broker is stopped, so that whatever comes is the attacker's."""
    assert broker["sockets"] == []


def test_a_copy_of_the_zygotes_pipe_made_at_the_start_gets_no_login(zygote: dict[str, Any]) -> None:
    """Who has it would be passed the workers' ends, and told the logins."""
    assert zygote["first"] == "upstream_unreachable"
    assert zygote["sockets"] == []


@pytest.mark.parametrize("process", ["broker", "zygote"])
def test_where_the_system_can_there_is_nothing_to_take(
    request: pytest.FixtureRequest, process: str, way: str
) -> None:
    """Closed from the first instruction: not even code can be written into it."""
    closed = [] if way == "unreadable" else ["environ", "maps", "mem", "sockets"]
    assert request.getfixturevalue(process)["took"] == closed


def test_memory_of_a_launched_server_opened_at_the_start_shows_nothing_later(
    way: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What opened it has the memory of before, in which there was nothing."""
    found = raced(SERVER, tmp_path_factory.mktemp("server"), way, "launched")
    assert "mem" in found["took"]
    assert found["memory"] == []
    assert "can read what passes through it" not in found["log"]


def test_memory_of_an_ordinary_server_opened_at_the_start_shows_what_is_typed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Not stopped, and said: in the log and in the panel."""
    found = raced(SERVER, tmp_path_factory.mktemp("server"), "plain", "ordinary")
    assert found["memory"] != []
    assert "can read what passes through it" in found["log"]


def test_of_a_process_that_hardens_nothing_all_of_it_is_got(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The positive control of all of the above."""
    found = raced(CONTROL, tmp_path_factory.mktemp("control"), "plain")
    assert found == {"took": ["environ", "maps", "mem", "sockets"], "memory": [SECRET], "sockets": [LATER]}


def test_a_broker_with_a_debugger_does_not_serve_and_says_so(
    way: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Where one can be attached at all. When it has let go, the next start serves."""
    found = raced(DISTURBED, tmp_path_factory.mktemp("seize"), way, "seize")
    if way == "unreadable":
        assert found == {"took": [], "refused": [], "heard": []}
    else:
        assert found["took"] == ["ptrace"]
        assert found["refused"][0][0] == "process_traced"
        assert "debugger" in found["refused"][0][1]


def test_a_launched_server_with_a_debugger_does_not_start(tmp_path_factory: pytest.TempPathFactory) -> None:
    """It stays attached when the launcher executes the interpreter anew, and that one looks."""
    found = raced(LAUNCHER, tmp_path_factory.mktemp("launcher"), "unreadable", "seize")
    assert found["took"] == ["ptrace"]
    assert "debugger" in found["said"]
    assert found["status"] == 69


def test_who_answers_in_the_brokers_place_is_told_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a copy of its channel from the start; the owner is told, and the next start serves."""
    found = raced(DISTURBED, tmp_path_factory.mktemp("answer"), "plain", "answer")
    assert "sockets" in found["took"]
    assert found["refused"][0][0] == "broker_unavailable"
    assert "Another process" in found["refused"][0][1]
    assert found["heard"] == []
