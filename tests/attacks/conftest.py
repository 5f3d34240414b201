"""A real broker with two connections, a person by rule, and notebooks that are real processes."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.support.broker.in_clear import IN_CLEAR_API
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.canary import CANARY

API = {"base_url": "https://api.test/v1"}


def by_reason(question: dict[str, Any]) -> str:
    """The code's own words say what the person answers; without words it is a no."""
    words = question["reasons"][-1] if question["reasons"] else "deny"
    return str(words) if words in ("once", "session", "for", "always", "deny_always") else "deny"


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Below it lies everything of one broker: `vault` its data, the rest the server's root."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def notebooks(folder: Path) -> Iterator[Notebooks]:
    """Nobody has to wait after a no here, so that each test can ask."""
    with operated_broker(folder, rule=by_reason, consent=ConsentSettings(cooldown_s=0)) as (operator, path):
        operator.create("api", IN_CLEAR_API, API, {"token": CANARY})
        operator.create("token", "secret", {}, {"value": CANARY})
        yield Notebooks(operator, home=folder, socket_path=path)
