"""The connection test as a port: it always ends, it is an outcome, and it says nothing but words of ours."""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from connvault_jupyter.contracts.providers import Delivery
from connvault_jupyter.errors import BrokerUnavailable, ConnvaultError, UpstreamAuthFailed
from connvault_jupyter.relays.connection_check import RelayConnectionCheck
from tests.support.broker.processes import wait_until
from tests.support.relays.relay_process import supervised, workers
from tests.support.servers.scripted_upstream import dripping, upstream
from tests.support.services.catalogue import provider

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=timezone.utc)
CANARY = "canary-9d2c41"


def _trial(answer: str | ConnvaultError, asked: list[Any] | None = None) -> RelayConnectionCheck:
    def try_login(protocol: str, login: Mapping[str, Any], timeout_s: float) -> str:
        if asked is not None:
            asked.append((protocol, dict(login)))
        if isinstance(answer, ConnvaultError):
            raise answer
        return answer

    return RelayConnectionCheck(try_login=try_login, clock=lambda: NOW)


def test_a_check_that_logs_in_names_the_server() -> None:
    """With the recipe of the kind of connection, as a relay would."""
    asked: list[Any] = []
    outcome = _trial("PostgreSQL 15.4", asked)(provider("postgresql"), {"host": "db"}, {"password": CANARY})
    assert (outcome.ok, outcome.detail, outcome.server, outcome.at) == (
        True,
        "Connected.",
        "PostgreSQL 15.4",
        NOW,
    )
    ((protocol, login),) = asked
    assert protocol == "postgresql"
    assert login["fields"]["host"] == "db"
    assert login["secrets"] == {"password": CANARY}


@pytest.mark.parametrize("said", ["PostgreSQL 16 <b>", "x" * 100, "PostgreSQL 16\n", "canary"])
def test_what_a_server_calls_itself_is_not_shown(said: str) -> None:
    """A name of ours and numbers, or nothing."""
    assert _trial(said)(provider("postgresql"), {}, {}).server == ""


def test_when_the_login_fails_its_code_and_words_are_ours() -> None:
    """An ordinary failure is an outcome."""
    outcome = _trial(UpstreamAuthFailed())(provider("postgresql"), {}, {})
    assert (outcome.ok, outcome.code) == (False, "upstream_auth_failed")
    assert "replace the secret" in outcome.detail


def test_a_check_without_a_relay_is_an_outcome() -> None:
    """Out of processes, or a library is missing."""
    assert _trial(BrokerUnavailable("no"))(provider("postgresql"), {}, {}).code == "broker_unavailable"


def test_a_check_of_a_kind_without_a_relay_says_so() -> None:
    """A kind that logs in inside the notebook has nothing to test with."""
    deliveries = [Delivery(kind="login", mode="in_clear", client="arguments", openers=["arguments"])]
    outcome = _trial("x")(provider("postgresql").model_copy(update={"deliveries": deliveries}), {}, {})
    assert "can't be tested" in outcome.detail


def test_when_the_server_dawdles_the_worker_ends_with_the_time() -> None:
    """One byte a while: no single read ever times out. The worker's arguments say nothing, and then it is gone."""
    arrived = threading.Event()
    # An authentication request of 256 bytes, as they say.
    drip = dripping(b"R\0\0\1\0", b"\0", every_s=0.1)

    def behave(client: socket.socket) -> None:
        client.recv(65536)
        arrived.set()
        drip(client)

    with upstream(behave) as port:
        fields = {
            "host": "127.0.0.1", "port": port, "database": "d", "user": "u",
            "sslmode": "disable",
        }  # fmt: skip
        with supervised() as supervisor:
            check = RelayConnectionCheck(try_login=supervisor.try_login, clock=lambda: NOW, timeout_s=1)
            outcomes: list[Any] = []
            thread = threading.Thread(
                target=lambda: outcomes.append(check(provider("postgresql"), fields, {"password": CANARY}))
            )
            thread.start()
            assert arrived.wait(20)
            found = workers()
            assert len(found) == 1
            assert CANARY not in " ".join(found[0].cmdline())
            thread.join(20)
            assert outcomes[0].code == "upstream_timeout"
            wait_until(lambda: not found[0].is_running(), deadline_s=10, what="the end of the worker")
