"""Looking into the relays' processes as the same ordinary user: they have a secret for a login's length. Linux."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest

from tests.attacks.test_attack_memory import ATTACKER, ATTEMPTS
from tests.support.broker.processes import wait_until
from tests.support.broker.redis_notebooks import redis_notebooks
from tests.support.broker.unprivileged import run_unprivileged

# Has a broker with a logged-in session, whose Redis worker keeps the password to mask it, and is attacked.
VICTIM = r"""
import json, subprocess, sys
from tests.support.broker.redis_notebooks import redis_notebooks

with redis_notebooks(lambda question: "session") as world:
    name, _ = world.define()
    with world.kernel() as kernel:
        kernel.run(f"h = connection({name!r}); s = live(h)")
        zygote, (worker,) = world.processes()
        plain = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        pids = {"zygote": zygote, "worker": worker, "control": plain.pid}
        done = subprocess.run(
            [sys.executable, "-c", sys.argv[1], *map(str, pids.values())],
            capture_output=True, text=True, check=True,
        )
        plain.communicate()
        assert kernel.run("pinged(s)") == "+PONG\r\n"
        found = json.loads(done.stdout)
        print(json.dumps({name: found[str(pid)] for name, pid in pids.items()}))
"""


@pytest.fixture(scope="module")
def worked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What worked, by process."""
    found: dict[str, list[str]] = json.loads(
        run_unprivileged(VICTIM, ATTACKER, home=tmp_path_factory.mktemp("relays"))
    )
    return found


@pytest.mark.parametrize("process", ["zygote", "worker"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_process_of_the_same_user_does_not_get_into_a_relay(
    worked: dict[str, list[str]], process: str, attempt: str
) -> None:
    """Neither into what workers are forked from, nor into one that has a session and the password."""
    assert attempt not in worked[process]


def test_the_same_attempts_get_into_an_ordinary_process_beside_a_relay(worked: dict[str, list[str]]) -> None:
    """The positive control."""
    assert {"environ", "maps", "auxv", "descriptors"} <= set(worked["control"])


def test_a_relay_that_is_made_to_crash_leaves_no_core_and_ends_its_sessions() -> None:
    """Anyone of the same user can send the signal."""
    with redis_notebooks(lambda question: "session") as world, world.kernel() as kernel:
        name, _ = world.define()
        kernel.run(f"h = connection({name!r}); s = live(h)")
        _, (worker,) = world.processes()
        before = cores(Path("/"), Path.cwd(), world.home)
        os.kill(worker, signal.SIGABRT)
        kernel.run("ended(s)")
        wait_until(lambda: not psutil.pid_exists(worker), deadline_s=10, what="the worker's end")
        assert cores(Path("/"), Path.cwd(), world.home) == before
        assert kernel.run("pinged(live(h))") == "+PONG\r\n"


def cores(*folders: Path) -> set[str]:
    return {str(path) for folder in folders for path in folder.glob("core*") if path.is_file()}


def test_what_can_be_read_of_a_relay_without_any_trick_says_nothing() -> None:
    """Arguments are for everybody to read."""
    with redis_notebooks(lambda question: "session") as world, world.kernel() as kernel:
        name, _ = world.define()
        kernel.run(f"h = connection({name!r}); s = live(h); o = h._handle_ref.open(tcp=True)")
        token = kernel.run("str.__str__(o.token)")
        zygote, workers = world.processes()
        for pid in (zygote, *workers):
            shown = " ".join(psutil.Process(pid).cmdline())
            assert world.server.password not in shown
            assert token not in shown
            assert len(shown.split()) == 4


def test_signals_to_a_relay_end_no_other_requesters_session() -> None:
    """Stopped, continued, interrupted, hung up or killed: another notebook's worker is another process."""
    with redis_notebooks(lambda question: "session") as world:
        name, _ = world.define()
        with world.kernel() as kernel, world.kernel("b.ipynb") as other:
            kernel.run(f"h = connection({name!r}); s = live(h)")
            _, (first,) = world.processes()
            other.run(f"h = connection({name!r}); s = live(h)")
            for number in (signal.SIGSTOP, signal.SIGCONT, signal.SIGINT, signal.SIGHUP, signal.SIGKILL):
                # It may have ended by one of them.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(first, number)
            kernel.run("ended(s)")
            assert other.run("pinged(s)") == "+PONG\r\n"
