"""Another master key for 1,000 connections with their secrets, and unlocking by each kind of key slot."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any
from unittest import mock

from tests.support.broker.operator import Operator, operated_broker
from tests.support.browser.rest import PASSPHRASE
from tests.support.servers.secret_service import secret_service_session

from .contenders import timed
from .figures import Figure, Plan
from .list_thousand import thousand

IDS = ("rotate_1000_ms", "unlock_passphrase_ms", "unlock_key_file_ms", "unlock_keyring_ms")

_PROOF: dict[str, Any] = {"proof": {"passphrase": PASSPHRASE}}
_BUS = "DBUS_SESSION_BUS_ADDRESS"


def measure(plan: Plan) -> Iterator[Figure]:
    rounds = plan.rounds_or(9)
    keys = plan.home / "keys"
    with thousand(plan.home, key_file=str(keys)) as operator:
        slot = operator.call("slots.add", {"kind": "key_file", **_PROOF})["slots"][-1]["id"]
        # By the key file's slot: what a passphrase costs is a figure of its own.
        proof = {"proof": {"slot": slot, "key": _only_key(keys)}}
        rotating = timed(lambda: operator.call("vault.rotate", proof), rounds)
        yield Figure("rotate_1000_ms", median(rotating) / 1e6)
        yield Figure("unlock_passphrase_ms", _unlocked_ms(operator, {"passphrase": PASSPHRASE}, rounds))
        yield Figure("unlock_key_file_ms", _unlocked_ms(operator, {}, rounds))
    with (
        secret_service_session(plan.home / "k") as service,
        mock.patch.dict(os.environ, {_BUS: service.env[_BUS]}),
        operated_broker(plan.home / "keyring") as (operator, _),
    ):
        operator.call("slots.add", {"kind": "os_keyring", **_PROOF})
        yield Figure("unlock_keyring_ms", _unlocked_ms(operator, {}, rounds))


def _unlocked_ms(operator: Operator, typed: dict[str, str], rounds: int) -> float:
    found = []
    for _ in range(rounds):
        operator.call("vault.lock")
        began = time.perf_counter_ns()
        state = operator.call("vault.unlock", typed)["state"]
        found.append(time.perf_counter_ns() - began)
        assert state == "unlocked"
    return median(found) / 1e6


def _only_key(keys: Path) -> str:
    """As `vault.key_file` writes it: the last word of a line."""
    (line,) = keys.read_text().splitlines()
    return line.rpartition(" ")[2]
