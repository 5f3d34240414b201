"""What is open ends with the permission, promptly; what may go on goes on.

The promise is 100 ms; a busy machine gets a second, and a look at the clock of both processes says how long it took.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter._version import __version__
from connvault_jupyter.contracts.supervision import BrokerSettings
from connvault_jupyter.errors import StorageBusy
from tests.support.broker.cut_sessions import CUT_S, DEADLINE_S, rule
from tests.support.broker.cut_sessions import kernel as kernel
from tests.support.broker.cut_sessions import world as world
from tests.support.broker.operator import Operator
from tests.support.broker.processes import wait_until
from tests.support.broker.redis_notebooks import RedisNotebooks, now, redis_notebooks, since
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.browser.rest import PASSPHRASE

_log = logging.getLogger(__name__)

End = Callable[[RedisNotebooks, RequesterProcess, str], Any]


def move(world: RedisNotebooks, _kernel: RequesterProcess, connection_id: str) -> None:
    connection = world.operator.call("connections.get", {"id": connection_id})["connection"]
    world.operator.call(
        "connections.update",
        {
            "id": connection_id,
            "revision": connection["revision"],
            "fields": {**world.fields, "port": world.server.port + 1},
        },
    )


def delete(world: RedisNotebooks, _kernel: RequesterProcess, connection_id: str) -> None:
    connection = world.operator.call("connections.get", {"id": connection_id})["connection"]
    world.operator.call("connections.delete", {"id": connection_id, "revision": connection["revision"]})


def own(world: RedisNotebooks, kernel: RequesterProcess, _connection_id: str) -> None:
    kernel.run("from connvault_jupyter.kernel import api; api.revoke(h.name)")


ENDS: dict[str, tuple[str, End]] = {
    "revoked": ("session", lambda world, _, connection_id: world.revoke(connection_id)),
    "revoked by the notebook": ("session", own),
    "released": ("once", lambda _world, kernel, _id: kernel.run("h.release()")),
    "another destination": ("always", move),
    "deleted": ("session", delete),
    "the document is gone": (
        "always",
        lambda world, *_: world.operator.call("supervision.documents_gone", {"paths": ["a.ipynb"]}),
    ),
    "the server says that the kernel is gone": (
        "session",
        lambda world, *_: world.operator.call("supervision.kernels", {"kernels": []}),
    ),
}


@pytest.mark.parametrize(("decision", "end"), ENDS.values(), ids=ENDS)
@pytest.mark.parametrize("way", ["socket", "port"])
def test_when_the_permission_ends_so_does_what_is_open(
    world: RedisNotebooks, kernel: RequesterProcess, decision: str, end: End, way: str
) -> None:
    """Also in the middle of a command that waits; the next attempt is refused."""
    name, connection_id = world.define()
    kernel.run(f"h = connection({name!r}, reason={decision!r}); o = h._handle_ref.open(tcp=True)")
    kernel.run(
        "s = live(h)" if way == "socket" else "s = to_port(o.port); said(s, b'AUTH', str(o.token).encode())"
    )
    kernel.run("s.sendall(b'BLPOP nothing 0\\r\\n'); t = []")
    kernel.run("w = threading.Thread(target=lambda: t.append(ended(s))); w.start()")
    began = now()
    end(world, kernel, connection_id)
    kernel.run("w.join(20)")
    taken = since(began, kernel.run("t[0]"))
    _log.info("cut after %.1f ms", taken * 1000)
    assert taken < CUT_S
    with pytest.raises(Refused) as caught:
        kernel.run("h._handle_ref.open()")
    assert caught.value.kind == "HandleInvalid"


def test_a_lock_cuts_every_session_and_they_work_again_after_the_unlock(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """By the same handle."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r}); s = live(h); t = []")
    kernel.run("w = threading.Thread(target=lambda: t.append(ended(s))); w.start()")
    began = now()
    world.operator.call("vault.lock")
    try:
        kernel.run("w.join(20)")
        assert since(began, kernel.run("t[0]")) < CUT_S
        with pytest.raises(Refused) as caught:
            kernel.run("h._handle_ref.open()")
        assert caught.value.kind == "VaultLocked"
    finally:
        world.operator.call("vault.unlock", {"passphrase": PASSPHRASE})
    assert kernel.run("pinged(live(h))") == "+PONG\r\n"


def lock(world: RedisNotebooks, _kernel: RequesterProcess, _connection_id: str) -> None:
    world.operator.call("vault.lock")


# The others are changes, which there are none of before they are stored.
PROTECTIVE = {name: end for name, end in ENDS.items() if name not in {"another destination", "deleted"}} | {
    "locked": ("session", lock)
}

UNTOLD = {"locked", "the server says that the kernel is gone"}

# As many as a notebook likes wait for the database too, each with the broker's lock.
_BUSY = """
from connvault_jupyter.kernel.api import broker
def ask():
    while not stop.is_set():
        try: broker().ask("access.check", {"ref": h._handle_ref._ref})
        except Exception: pass
stop = threading.Event()
askers = [threading.Thread(target=ask) for _ in range(4)]
for one in askers: one.start()
"""


@pytest.mark.parametrize("name", PROTECTIVE)
def test_a_database_that_somebody_holds_puts_off_no_end(name: str) -> None:
    """What is open is cut while it is held; whoever ended it hears that it is not stored yet, and it is afterwards."""
    decision, end = PROTECTIVE[name]
    with redis_notebooks(rule) as world, world.kernel() as kernel:
        connection, connection_id = world.define()
        kernel.run(f"h = connection({connection!r}, reason={decision!r}); s = live(h); t = []")
        kernel.run("w = threading.Thread(target=lambda: t.append(ended(s))); w.start()")
        with held(world.home):
            kernel.run(_BUSY)
            told = (
                nullcontext() if name in UNTOLD else pytest.raises((StorageBusy, Refused), match="has ended")
            )
            with told:
                end(world, kernel, connection_id)
            kernel.run("w.join(20)")
            kernel.run("t[0]")
            with pytest.raises(Refused):
                kernel.run("live(h)")
            kernel.run("stop.set(); [one.join() for one in askers]")
        if name != "locked":
            wait_until(
                lambda: not world.grants_of(connection_id) or name == "released",
                deadline_s=DEADLINE_S,
                what="the end to be stored",
            )


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Another process of the same user has the database's write lock."""
    path = home / "vault" / "connvault.db"
    with closing(sqlite3.connect(path, isolation_level=None, timeout=5)) as database:
        database.execute("BEGIN IMMEDIATE")
        yield


# A child that goes on without its parent, with a connection that is the kernel's.
_CHILD = """
import socket, sys, time
s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"PING\\r\\n"); s.recv(99)
print("there", flush=True)
try:
    while s.recv(99): pass
except ConnectionError: pass
print(time.monotonic(), flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_kernel_ends_its_children_lose_what_is_open(
    world: RedisNotebooks, how: signal.Signals
) -> None:
    """Nobody has told the broker; it sees the end itself."""
    name, _ = world.define()
    read, write = os.pipe()
    with world.kernel("ending.ipynb") as kernel, os.fdopen(read) as said:
        kernel.run(f"h = connection({name!r}); path = h._handle_ref.open().socket")
        kernel.run(
            f"out = os.open('/proc/{os.getpid()}/fd/{write}', os.O_WRONLY);"
            f"child = subprocess.Popen([sys.executable, '-c', {_CHILD!r}, path], stdout=out, stdin=subprocess.DEVNULL)"
        )
        os.close(write)
        assert said.readline() == "there\n"
        began = now()
        kernel.process.send_signal(how)
        taken = since(began, said.readline())
    _log.info("cut after %.1f ms", taken * 1000)
    assert taken < CUT_S


def test_a_session_whose_time_is_over_is_cut() -> None:
    """Without anybody doing anything."""
    # Long enough to log in on a machine that has other work.
    lasts_s = 4
    with redis_notebooks(rule, for_s=lasts_s) as world:
        name, _ = world.define()
        with world.kernel() as kernel:
            began = now()
            kernel.run(f"h = connection({name!r}, reason='for'); s = live(h)")
            assert lasts_s - 0.2 < since(began, kernel.run("ended(s)")) < lasts_s + CUT_S


def test_a_session_that_another_server_revokes_is_cut(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """Two brokers, one vault; told by nobody but the database."""
    name, connection_id = world.define()
    kernel.run(f"h = connection({name!r}); s = live(h); t = []")
    kernel.run("w = threading.Thread(target=lambda: t.append(ended(s))); w.start()")
    other = Operator(rule=None)
    folder = world.home / "other"
    folder.mkdir(mode=0o700)
    other.broker.start(
        BrokerSettings(
            data_dir=str(world.home / "vault"),
            socket_path=str(folder / "b"),
            server_root=str(world.home),
            custodian="passphrase",
            version=__version__,
        )
    )
    try:
        (grant,) = world.grants_of(connection_id)
        # Its first call waits until it is ready.
        other.call("grants.list")
        began = now()
        other.call("grants.revoke", {"id": grant})
        kernel.run("w.join(20)")
        taken = since(began, kernel.run("t[0]"))
        _log.info("cut after %.1f ms", taken * 1000)
        assert taken < CUT_S
    finally:
        other.broker.stop()


def test_a_replaced_secret_ends_no_session(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Nor one that is missing for a moment; the next login is made with the new one."""
    name, connection_id = world.define()
    kernel.run(f"h = connection({name!r}); s = live(h)")
    field = {"id": connection_id, "field": "password"}
    world.operator.call("secrets.delete", field)
    assert kernel.run("pinged(s)") == "+PONG\r\n"
    # Redis may do without, so it is a login that the server refuses.
    assert "upstream_auth_failed" in kernel.run("said(to_socket(h._handle_ref.open().socket), b'PING')")
    world.operator.call("secrets.set", {**field, "value": world.server.password})
    assert kernel.run("[pinged(s), pinged(live(h))]") == ["+PONG\r\n"] * 2


def test_one_of_two_handles_is_let_go_of_alone(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """They share a worker, and nothing else."""
    name, _ = world.define()
    kernel.run(f"h = connection({name!r}); g = connection({name!r}); s, r = live(h), live(g)")
    assert kernel.run("h._handle_ref.open().directory != g._handle_ref.open().directory")
    kernel.run("h.release(); ended(s)")
    assert kernel.run("pinged(r)") == "+PONG\r\n"


def test_another_notebooks_session_is_not_touched(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Each has a permission of its own."""
    name, connection_id = world.define()
    kernel.run(f"h = connection({name!r}); s = live(h)")
    with world.kernel("other.ipynb") as other:
        other.run(f"h = connection({name!r}); s = live(h)")
        mine, _ = sorted(
            world.operator.call("grants.list", {"connection_id": connection_id})["grants"],
            key=lambda view: str(view["grant"]["requester_label"]),
        )
        world.operator.call("grants.revoke", {"id": mine["grant"]["id"]})
        kernel.run("ended(s)")
        assert other.run("pinged(s)") == "+PONG\r\n"
