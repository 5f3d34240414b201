"""Being there between exec and the hardening, as the same ordinary user: memory, descriptors, a tracer. Linux."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support.unprivileged import run_unprivileged

# Plain letters: looked for in frames of JSON and in memory, where they stand as they are.
SECRET = "canary-of-the-start-7f31"
LATER = "a-name-that-comes-later"

# Hardens itself as the server extension does and has a broker, of which the racer takes what it can at its start.
# `plain`: as where the system lets no unreadable program be executed.
BROKER = r"""
import json, os, sys
from connvault_jupyter.broker.hardening import become_non_dumpable
from tests.support.operator import operated_broker
from tests.support.racer import Racer
home, how, canary, later = sys.argv[1:]
assert become_non_dumpable()
if how == "plain":
    from connvault_jupyter.broker import unreadable_exec
    unreadable_exec.unreadable_loader = lambda: None
racer = Racer(Path(home) / "racer", marker="connvault_jupyter.broker")
os.environ["PYTHONPATH"] = racer.on_the_path()
with operated_broker(Path(home)) as (operator, _):
    took = racer.took()["took"]
    operator.create(later, "secret", {}, {"value": canary})
    memory = racer.told("memory", canary, later)["found"]
    racer.told("stop")
    body = {"provider_id": "secret", "name": "other", "fields": {}, "secrets": {"value": {"value": canary}}}
    pending = operator.broker.call("connections.create", body)
    sockets = racer.told("sockets", canary)["found"]
    racer.told("continue")
    racer.end()
print(json.dumps({"took": took, "memory": memory, "sockets": sockets}))
"""


@pytest.fixture(scope="module", params=["unreadable", "plain"])
def raced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What was got of a broker: at its start, and by that later."""
    home = tmp_path_factory.mktemp("start")
    found: dict[str, Any] = json.loads(
        run_unprivileged(BROKER, str(home), request.param, SECRET, LATER, home=home)
    )
    return {"how": request.param, **found}


def test_memory_opened_at_the_start_shows_nothing_later(raced: dict[str, Any]) -> None:
    """Neither a secret nor a name that the broker heard of afterwards."""
    assert raced["memory"] == []


def test_a_copy_of_the_channel_made_at_the_start_hears_nothing(raced: dict[str, Any]) -> None:
    """Also while the broker is stopped, so that whatever comes is the attacker's."""
    assert raced["sockets"] == []
