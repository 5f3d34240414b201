"""A real broker locks its vault by itself."""

from __future__ import annotations

from pathlib import Path

from tests.support.broker.operator import operated_broker
from tests.support.broker.processes import wait_until


def test_a_broker_locks_its_vault_after_the_time(short_tmp_path: Path) -> None:
    """Asking for the state again and again does not keep it open."""
    with operated_broker(short_tmp_path, lock_after_idle_s=0.5) as (operator, _):
        wait_until(
            lambda: operator.call("vault.state")["state"] == "locked", deadline_s=20, what="the idle lock"
        )
        (row, *_others) = operator.call("audit.list", {"type": "vault:locked"})["events"]
        assert row["decided_by"] == "lock after idle time"
        operator.set_up()
        assert operator.call("audit.list", {"type": "vault:unlocked"})["events"]
