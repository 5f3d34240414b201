"""Looking into the broker's process as the same ordinary user: /proc, ptrace, its sockets, a core dump. Linux."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

import pytest

from connvault_jupyter.broker import broker_process, operator_client
from tests.support.broker.unprivileged import run_unprivileged

# Tries all that a process may do to another one of its user; what worked, by name.
ATTACKER = r"""
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)

def reads(name):
    def attempt(pid):
        with open(f"/proc/{pid}/{name}", "rb") as file:
            if name == "mem":
                return True
            return bool(file.read(1))
    return attempt

def descriptors(pid):
    return bool(os.readlink(f"/proc/{pid}/fd/0"))

def ptrace(pid):
    if libc.ptrace(16, pid, None, None) != 0:
        return False
    os.waitpid(pid, 0x40000000)
    libc.ptrace(17, pid, None, None)
    return True

def socket_of(pid):
    # pidfd_getfd(2): a copy of any descriptor that the other process has open.
    pidfd = os.pidfd_open(pid)
    return any(libc.syscall(438, pidfd, number, 0) >= 0 for number in range(64))

class Vector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]

def memory(pid):
    own = ctypes.create_string_buffer(1)
    # Whether it may at all is decided before the address: EPERM, or EFAULT for a wrong one.
    theirs = Vector(1 << 20, 1)
    libc.process_vm_readv(pid, ctypes.byref(Vector(ctypes.addressof(own), 1)), 1, ctypes.byref(theirs), 1, 0)
    return ctypes.get_errno() == 14

ATTEMPTS = {
    "mem": reads("mem"), "environ": reads("environ"), "maps": reads("maps"), "auxv": reads("auxv"),
    "descriptors": descriptors, "ptrace": ptrace, "pidfd_getfd": socket_of, "process_vm_readv": memory,
}
found = {}
for target in sys.argv[1:]:
    found[target] = []
    for name, attempt in ATTEMPTS.items():
        try:
            if attempt(int(target)):
                found[target].append(name)
        except OSError:
            pass
print(json.dumps(found))
"""

# Has a broker, hardens itself as the server extension does, and lets the attacker loose on both and on an ordinary
# process.
VICTIM = r"""
import json, os, subprocess, sys
from pathlib import Path
from connvault_jupyter.broker.hardening import become_non_dumpable
from tests.support.broker.operator import operated_broker

attacker, home = sys.argv[1:]
assert become_non_dumpable()
with operated_broker(Path(home)) as (operator, _):
    operator.create("token", "secret", {}, {"value": "a secret"})
    plain = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pids = {"broker": operator.broker.pid, "server": os.getpid(), "control": plain.pid}
    done = subprocess.run(
        [sys.executable, "-c", attacker, *map(str, pids.values())], capture_output=True, text=True, check=True
    )
    plain.communicate()
    found = json.loads(done.stdout)
    print(json.dumps({name: found[str(pid)] for name, pid in pids.items()}))
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What worked, by process."""
    home = tmp_path_factory.mktemp("memory")
    found: dict[str, list[str]] = json.loads(run_unprivileged(VICTIM, ATTACKER, str(home), home=home))
    return found


ATTEMPTS = ["mem", "environ", "maps", "auxv", "descriptors", "ptrace", "pidfd_getfd", "process_vm_readv"]


@pytest.mark.parametrize("process", ["broker", "server"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_process_of_the_same_user_does_not_get_in(
    worked: dict[str, list[str]], process: str, attempt: str
) -> None:
    """Neither into the broker, which has the keys, nor into its owner, which has the operator channel."""
    assert attempt not in worked[process]


def test_the_same_attempts_get_into_an_ordinary_process(worked: dict[str, list[str]]) -> None:
    """The positive control. Some systems restrict ptrace and its like for everybody (Yama), but never these."""
    assert {"environ", "maps", "auxv", "descriptors"} <= set(worked["control"])


# A broker of an ordinary user, and a process that is none, are made to crash; whether there was a core.
CRASHED = r"""
import json, os, resource, signal, subprocess, sys
from pathlib import Path
from connvault_jupyter._version import __version__
from connvault_jupyter.broker import broker_process, operator_client
from connvault_jupyter.broker.spawn import Spawner
from connvault_jupyter.contracts import frames
from connvault_jupyter.contracts.supervision import BrokerSettings

home = Path(sys.argv[1])
_, hard = resource.getrlimit(resource.RLIMIT_CORE)
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
os.chdir(home)

def dumped(pid):
    os.kill(pid, signal.SIGABRT)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGABRT
    return os.WCOREDUMP(status)

channel, pid = Spawner(broker_process.PROGRAM)(operator_client.environment()).meet()
(home / "s").mkdir(mode=0o700)
settings = BrokerSettings(
    data_dir=str(home / "vault"), socket_path=str(home / "s" / "b"), server_root=str(home), version=__version__
)
frames.send(channel, {"id": 0, "op": "start", "body": settings.model_dump(mode="json")})
ready = frames.receive(channel)["body"]
plain = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
print(json.dumps({"non_dumpable": ready["non_dumpable"], "broker": dumped(pid), "control": dumped(plain.pid)}))
os._exit(0)
"""


def test_a_broker_that_is_made_to_crash_leaves_no_core(tmp_path: Path) -> None:
    """Its memory would be in it. Anyone of the same user can send the signal."""
    found = json.loads(run_unprivileged(CRASHED, str(tmp_path), home=tmp_path))
    assert found["non_dumpable"] is True
    assert found["broker"] is False
    # The positive control, unless this machine lets nobody leave one.
    assert found["control"] is True or resource.getrlimit(resource.RLIMIT_CORE)[1] == 0


def test_the_brokers_arguments_and_environment_hold_no_key_and_no_token() -> None:
    """Arguments are for every user of the machine to read; the environment is inherited by what the broker starts."""
    os.environ["JUPYTER_TOKEN"] = "a-token-of-the-server"
    try:
        environment = operator_client.environment()
    finally:
        del os.environ["JUPYTER_TOKEN"]
    assert "a-token-of-the-server" not in environment.values()
    assert broker_process.PROGRAM == ("-m", "connvault_jupyter.broker")
