"""The scripted broker for the tests beside this file."""

from __future__ import annotations

from tests.support.broker.scripted_broker import scripted_broker as scripted_broker
