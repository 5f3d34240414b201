"""The kinds of connections that tests use in the clear keep the rules for everybody's."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from connvault_jupyter.providers.conformance import ProviderConformance
from tests.support.broker.in_clear import IN_CLEAR, IN_CLEAR_API, PROVIDERS


class TestLedger(ProviderConformance):
    """A database whose library logs in by itself."""

    example: ClassVar[dict[str, Any]] = {"host": "db.example.com", "database": "sales", "user": "reader"}

    def definition(self) -> Any:
        return json.loads((PROVIDERS / f"{IN_CLEAR}.json").read_text())


class TestFeed(ProviderConformance):
    """An API whose library logs in by itself."""

    example: ClassVar[dict[str, Any]] = {"base_url": "https://api.example.com/v1"}

    def definition(self) -> Any:
        return json.loads((PROVIDERS / f"{IN_CLEAR_API}.json").read_text())
