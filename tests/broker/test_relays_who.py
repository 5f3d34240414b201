"""Who may use a handle's listener: its own requester, found out at each connection, by whatever way it comes."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.broker.broker_of import runs
from tests.support.broker.processes import wait_until
from tests.support.broker.redis_notebooks import IN_THE_KERNEL, RedisNotebooks, redis_notebooks
from tests.support.broker.requester import RequesterProcess
from tests.support.broker.unprivileged import run_unprivileged
from tests.support.canary import found_in


def rule(question: dict[str, Any]) -> str:
    return "session"


@pytest.fixture(scope="module")
def world() -> Iterator[RedisNotebooks]:
    with redis_notebooks(rule) as made:
        yield made


@pytest.fixture
def kernel(world: RedisNotebooks) -> Iterator[RequesterProcess]:
    """With a handle `h` for a connection of the test's own."""
    name, _ = world.define()
    with world.kernel() as found:
        found.run(f"h = connection({name!r})")
        yield found


def refusals(world: RedisNotebooks) -> list[dict[str, Any]]:
    return world.notebooks.record(type="access:refused")


def test_the_kernel_itself_is_served(kernel: RequesterProcess) -> None:
    """Logged in, without any password of its own."""
    assert kernel.run("said(live(h), b'ECHO', b'hello')") == "$5\r\nhello\r\n"


def test_a_login_is_on_record_as_brokered(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Each connection is a use."""
    kernel.run("s = [live(h) for _ in range(3)]")
    name = kernel.run("h.name")
    rows = [row for row in world.notebooks.record(type="access:used") if row["connection"] == name]
    assert [(row["mode"], row["requester_label"]) for row in rows] == [("brokered", "a.ipynb")] * 3


# Says PING to the socket at its first argument, and prints the answer.
PING = (
    "code = 'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);'"
    "'s.sendall(bytes([80, 73, 78, 71, 13, 10])); print(s.recv(99))'"
)


def test_what_the_kernel_starts_is_served(kernel: RequesterProcess) -> None:
    """A subprocess counts as the notebook, also one that outlives its shell."""
    kernel.run("path = h._handle_ref.open().socket")
    kernel.run(PING)
    assert "PONG" in kernel.run("subprocess.check_output([sys.executable, '-c', code, path]).decode()")
    shell = "subprocess.check_output(['sh', '-c', f'{sys.executable} -c \"{code}\" {path}']).decode()"
    assert "PONG" in kernel.run(shell)


def test_another_notebook_is_refused_and_recorded(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """A path is no bearer token: whoever knows it gets an error in the protocol's own form, and no session."""
    path = kernel.run("h._handle_ref.open().socket")
    before = len(refusals(world))
    with world.kernel("other.ipynb") as other:
        answer = other.run(f"said(to_socket({path!r}), b'PING')")
    assert answer.startswith("-")
    assert "connvault" in answer
    assert found_in(answer) == []
    row = refusals(world)[0]
    assert len(refusals(world)) == before + 1
    assert (row["requester_label"], row["code"]) == ("other.ipynb", "handle_invalid")
    assert kernel.run("said(live(h), b'PING')") == "+PONG\r\n"


def test_a_script_is_refused(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """No kernel's child, same user."""
    path = kernel.run("h._handle_ref.open().socket")
    with world.notebooks.outside() as script:
        script.run(IN_THE_KERNEL)
        assert script.run(f"said(to_socket({path!r}), b'PING')").startswith("-")


def test_what_a_plain_script_starts_is_another_requester(world: RedisNotebooks) -> None:
    """There is no kernel that both would belong to."""
    name, _ = world.define()
    with world.notebooks.outside() as script:
        script.run(IN_THE_KERNEL)
        script.run(PING)
        script.run(f"h = connection({name!r}); path = h._handle_ref.open().socket")
        assert script.run("said(live(h), b'PING')") == "+PONG\r\n"
        answer = script.run("subprocess.check_output([sys.executable, '-c', code, path]).decode()")
        assert "connvault handle_invalid" in answer
        assert script.run("said(live(h), b'PING')") == "+PONG\r\n"


def test_another_run_of_the_same_notebook_is_refused(world: RedisNotebooks) -> None:
    """The handle was the last run's."""
    name, _ = world.define()
    with world.kernel() as first:
        first.run(f"h = connection({name!r}); s = live(h)")
        path = first.run("h._handle_ref.open().socket")
        with world.notebooks.open("a.ipynb", kernel_id="second") as second:
            second.run(IN_THE_KERNEL)
            answer = second.run(f"said(to_socket({path!r}), b'PING')")
    assert "connvault handle_invalid" in answer


def test_on_loopback_the_token_opens_the_relay_for_its_own_requester(kernel: RequesterProcess) -> None:
    """Tools that know no Unix sockets."""
    kernel.run("o = h._handle_ref.open(tcp=True); s = to_port(o.port)")
    assert kernel.run("said(s, b'PING')").startswith("-NOAUTH")
    assert kernel.run("said(s, b'AUTH', b'wrong')").startswith("-")
    kernel.run("s = to_port(o.port)")
    assert kernel.run("said(s, b'AUTH', str(o.token).encode())") == "+OK\r\n"
    assert kernel.run("said(s, b'PING')") == "+PONG\r\n"


# As Java, and whatever else makes one kind of socket for both kinds of addresses.
DUAL_STACK = """
def to_port_as_java(port):
    stream = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    stream.settimeout(20)
    stream.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    stream.connect(("::ffff:127.0.0.1", port))
    return stream
"""


def test_on_loopback_a_client_with_a_socket_for_both_kinds_of_addresses_is_served(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """And it is known whose it is, as with any other: another notebook's is refused by its name."""
    kernel.run(f"{DUAL_STACK}\no = h._handle_ref.open(tcp=True); s = to_port_as_java(o.port)")
    assert kernel.run("said(s, b'AUTH', str(o.token).encode())") == "+OK\r\n"
    assert kernel.run("said(s, b'PING')") == "+PONG\r\n"
    port, token = kernel.run("[o.port, str.__str__(o.token)]")
    with world.kernel("java.ipynb") as other:
        other.run(DUAL_STACK)
        answer = other.run(f"said(to_port_as_java({port}), b'AUTH', {token.encode()!r})")
    assert answer.startswith("-ERR connvault handle_invalid: ")
    assert refusals(world)[0]["requester_label"] == "java.ipynb"


# The kernel closes itself to others, and its socket with it. The log goes where the answer is printed.
CLOSED = """
import os, sys
from pathlib import Path
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.redis_notebooks import IN_THE_KERNEL
os.dup2(1, 2)
home = Path(sys.argv[1])
with operated_broker(home) as (operator, path):
    fields = {"host": "127.0.0.1", "port": 1, "sslmode": "disable"}
    operator.create("cache", "redis", fields, {"password": "a-password"})
    with Notebooks(operator, home=home, socket_path=path).open("a.ipynb") as kernel:
        kernel.run(IN_THE_KERNEL)
        kernel.run("o = connection('cache')._handle_ref.open(tcp=True)")
        kernel.run("import ctypes; ctypes.CDLL(None).prctl(4, 0, 0, 0, 0)")
        print(kernel.run("said(to_port(o.port), b'AUTH', str(o.token).encode())"), flush=True)
"""


def test_on_loopback_a_client_that_can_not_be_told_is_refused_with_the_reason(short_tmp_path: Path) -> None:
    """In its own answer and in the log: that it is hidden, and not that it has ended."""
    said = run_unprivileged(CLOSED, str(short_tmp_path), home=short_tmp_path)
    assert said.count("can't see which process is connecting: it is in another container") == 2
    assert "-ERR connvault broker_unavailable: " in said
    assert "connvault.broker] a client of a handle was refused: " in said


def test_on_loopback_the_token_is_not_enough_for_another(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """It may have been read; the broker looks which process has the connection."""
    kernel.run("o = h._handle_ref.open(tcp=True)")
    port, token = kernel.run("[o.port, str.__str__(o.token)]")
    before = len(refusals(world))
    with world.kernel("thief.ipynb") as other:
        answer = other.run(f"said(to_port({port}), b'AUTH', {token.encode()!r})")
    assert answer.startswith("-ERR connvault handle_invalid: ")
    assert len(refusals(world)) == before + 1
    assert refusals(world)[0]["requester_label"] == "thief.ipynb"
    assert kernel.run(f"said(to_port({port}), b'AUTH', {token.encode()!r})") == "+OK\r\n"


def test_one_handles_token_does_not_open_anothers_port(
    world: RedisNotebooks, kernel: RequesterProcess
) -> None:
    """Each has its own."""
    name, _ = world.define()
    kernel.run(f"g = connection({name!r}); a, b = h._handle_ref.open(tcp=True), g._handle_ref.open(tcp=True)")
    assert kernel.run("a.port != b.port")
    assert kernel.run("said(to_port(b.port), b'AUTH', str(a.token).encode())").startswith("-")


def test_the_place_is_the_same_each_time(kernel: RequesterProcess) -> None:
    """Addresses that were given to a library stay good as long as the handle."""
    places = kernel.run(
        "[[o.socket, o.port, str.__str__(o.token)] for o in "
        "(h._handle_ref.open(tcp=True), h._handle_ref.open(tcp=True))]"
    )
    assert places[0] == places[1]
    assert kernel.run("h._handle_ref.open().port") is None


def test_the_place_is_private(kernel: RequesterProcess) -> None:
    """A folder for the user alone, and below it the handle's own; a socket for the user alone."""
    path = Path(kernel.run("h._handle_ref.open().socket"))
    for folder in (path.parent, path.parent.parent):
        found = folder.stat()
        assert stat.S_IMODE(found.st_mode) == 0o700
        assert found.st_uid == os.geteuid()
    for one in path.parent.iterdir():
        assert stat.S_ISSOCK(one.stat().st_mode)
        assert stat.S_IMODE(one.stat().st_mode) == 0o600


def test_the_place_is_gone_with_the_handle(world: RedisNotebooks, kernel: RequesterProcess) -> None:
    """Nothing is left to be found."""
    path = Path(kernel.run("h._handle_ref.open().socket"))
    kernel.run("s = live(h); h.release()")
    kernel.run("ended(s)")
    # Taken down after what was open was ended.
    wait_until(lambda: not path.parent.exists(), deadline_s=10, what="the handle's folder to go")


def test_nothing_is_left_of_a_broker_that_has_ended() -> None:
    """Neither places nor processes."""
    with redis_notebooks(rule) as world:
        name, _ = world.define()
        with world.notebooks.outside() as script:
            script.run(IN_THE_KERNEL)
            script.run(f"h = connection({name!r}); s = live(h)")
            path = Path(script.run("h._handle_ref.open().socket"))
            zygote, workers = world.processes()
            world.operator.broker.stop()
            script.run("ended(s)")
        assert not path.parent.parent.exists()
        wait_until(lambda: not any(map(runs, (zygote, *workers))), deadline_s=10, what="the processes' end")


def test_no_secret_is_in_what_the_kernel_gets(kernel: RequesterProcess) -> None:
    """Nor in what its processes could read of the place."""
    kernel.run("s = live(h)")
    shown = kernel.run(
        "repr([h, h._handle_ref.open(tcp=True), h.env(), h.env(tcp=True), h._repr_mimebundle_()])"
    )
    assert found_in(shown) == []
    assert found_in(kernel.run("str(list(h.env(tcp=True).values()) + list(os.environ.items()))")) == []


def test_variables_lead_another_program_there(kernel: RequesterProcess) -> None:
    """redis-cli, without a password: by the socket, which it knows no URL for, and by the loopback URL."""
    kernel.run("by_socket, by_port = h.env()['REDIS_SOCKET'], h.env()['REDIS_URL']")
    assert kernel.run("h.env()['REDIS_SOCKET_URL'] == 'unix://' + by_socket") is True
    assert kernel.run("by_port").startswith("redis://:")
    for where in ("'-s', by_socket", "'-u', by_port"):
        assert kernel.run(f"subprocess.check_output(['redis-cli', {where}, 'ping']).decode()") == "PONG\n"
