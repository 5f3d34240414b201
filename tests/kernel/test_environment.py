"""`handle.env()`: variables for other programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from connvault_jupyter import connection
from connvault_jupyter.errors import HandleInvalid, NotAllowed
from connvault_jupyter.kernel.handle import Handle
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.broker.scripted_broker import scripted_broker as scripted_broker
from tests.support.canary import CANARY, found_in

FIELDS = {"host": "db.internal", "port": 5433, "database": "sales", "user": "app"}
VARIABLES = {
    "PGHOST": "{directory}",
    "PGPORT": "5432",
    "PGUSER": "{user}",
    "DATABASE_URL": "postgresql://{user}@/{database}?host={directory}",
}
# Of libpq's, besides those of the definition.
NOT_ELSEWHERE = {"PGHOSTADDR": "", "PGTARGETSESSIONATTRS": "any"}
TCP_VARIABLES = {
    "PGHOST": "127.0.0.1",
    "PGPORT": "{port}",
    "PGPASSWORD": "{token}",
    "DATABASE_URL": "postgresql://{user}:{token}@127.0.0.1:{port}/{database}",
}


def _handles(broker: ScriptedBroker, **shape: Any) -> Handles:
    given = {
        "fields": FIELDS,
        "secrets": {"password": CANARY},
        "mode": "brokered",
        "variables": VARIABLES,
        "tcp_variables": TCP_VARIABLES,
        **shape,
    }
    return Handles(**given).install(broker)


def _opened(broker: ScriptedBroker) -> list[bool]:
    """For each time the handle was opened, whether with a port."""
    return [body["tcp"] for name, body in broker.asked if name == "access.open"]


@pytest.fixture
def handle(scripted_broker: ScriptedBroker) -> Handle:
    _handles(scripted_broker)
    return connection("warehouse")


def test_the_variables_lead_to_the_handles_socket(scripted_broker: ScriptedBroker, handle: Handle) -> None:
    """No port is opened for it, and no password is in it."""
    assert handle.env() == {
        **NOT_ELSEWHERE,
        "PGHOST": "/run/h",
        "PGPORT": "5432",
        "PGUSER": "app",
        "DATABASE_URL": "postgresql://app@/sales?host=%2Frun%2Fh",
    }
    assert _opened(scripted_broker) == [False]
    assert found_in(json.dumps(handle.env())) == []


def test_with_tcp_the_variables_lead_to_loopback(scripted_broker: ScriptedBroker) -> None:
    """With the handle's own token as password."""
    handles = _handles(scripted_broker)
    token = handles.token
    assert connection("warehouse").env(tcp=True) == {
        **NOT_ELSEWHERE,
        "PGHOST": "127.0.0.1",
        "PGPORT": "50123",
        "PGUSER": "app",
        "PGPASSWORD": token,
        "DATABASE_URL": f"postgresql://app:{token}@127.0.0.1:50123/sales",
    }


def test_the_handles_token_is_not_printed(scripted_broker: ScriptedBroker) -> None:
    """A cell's output is kept in the notebook; the value itself is whole."""
    token = _handles(scripted_broker).token
    found = connection("warehouse").env(tcp=True)
    assert token not in repr(found)
    assert token in json.dumps(found)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.test", "http://127.0.0.1:50123"),
        ("https://api.test/", "http://127.0.0.1:50123"),
        ("https://api.test:8443/v1/x", "http://127.0.0.1:50123/v1/x"),
    ],
)
def test_a_port_that_the_variables_need_is_opened(
    scripted_broker: ScriptedBroker, base_url: str, expected: str
) -> None:
    """SDKs of web services know addresses only. The path is the service's own."""
    handles = _handles(
        scripted_broker,
        fields={"base_url": base_url},
        protocol="http",
        variables={"API_URL": "{base_url}", "API_KEY": "{token}"},
    )
    found = connection("warehouse").env()
    assert {name: found[name] for name in ("API_URL", "API_KEY")} == {
        "API_URL": expected,
        "API_KEY": handles.token,
    }
    assert _opened(scripted_broker) == [False, True]


def test_for_a_token_alone_no_port_is_opened(scripted_broker: ScriptedBroker) -> None:
    """It is there without one."""
    handles = _handles(scripted_broker, variables={"REDISCLI_AUTH": "{token}"})
    assert connection("warehouse").env() == {**NOT_ELSEWHERE, "REDISCLI_AUTH": handles.token}
    assert _opened(scripted_broker) == [False]


def test_an_agent_has_the_connections_port(scripted_broker: ScriptedBroker) -> None:
    """And none of its own."""
    _handles(scripted_broker, protocol="ssh", variables={"AGENT": "{socket}", "PORT": "{port}"})
    assert connection("warehouse").env() == {"AGENT": "/run/h/s", "PORT": "5433"}
    assert _opened(scripted_broker) == [False]


@pytest.mark.parametrize("value", [None, ""])
def test_a_variable_whose_field_is_not_given_is_left_out(scripted_broker: ScriptedBroker, value: Any) -> None:
    """An empty one would mean something."""
    _handles(scripted_broker, fields={**FIELDS, "user": value})
    assert set(connection("warehouse").env()) == {"PGHOST", "PGPORT", *NOT_ELSEWHERE}


def test_what_a_field_holds_does_not_change_an_address(scripted_broker: ScriptedBroker) -> None:
    """A user with signs in it stays the user; outside of addresses nothing is encoded."""
    _handles(scripted_broker, fields={**FIELDS, "user": "a@evil.test/x?host=y#", "database": "{token}"})
    found = connection("warehouse").env()
    assert found["PGUSER"] == "a@evil.test/x?host=y#"
    assert found["DATABASE_URL"].startswith("postgresql://a%40evil.test%2Fx%3Fhost%3Dy%23@/%7Btoken%7D?")


@pytest.mark.parametrize("mode", ["in_clear", "reveal"])
def test_where_nothing_is_brokered_there_are_none(scripted_broker: ScriptedBroker, mode: str) -> None:
    """They would have to hold the secret; the error names what there is."""
    _handles(scripted_broker, mode=mode, openers=("arguments",))
    handle = connection("warehouse")
    assert "env" not in dir(handle)
    with pytest.raises(NotAllowed, match=r"\.reveal"):
        handle.env()
    assert _opened(scripted_broker) == []


def test_a_revoked_handle_gives_none(scripted_broker: ScriptedBroker) -> None:
    """Each call asks."""
    handles = _handles(scripted_broker)
    handle = connection("warehouse")
    assert "env" in dir(handle)
    handles.refs.clear()
    with pytest.raises(HandleInvalid):
        handle.env()


def test_the_variables_are_what_a_subprocess_takes(handle: Handle) -> None:
    """As the documentation shows it."""
    code = "import os; print(os.environ['PGHOST'], os.environ['PGPASSWORD'])"
    environment = {**os.environ, **handle.env(tcp=True)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    assert done.stdout.decode().split()[0] == "127.0.0.1"
    assert len(done.stdout.decode().split()[1]) == 43


def test_programs_do_not_take_a_proxy_for_loopback(
    scripted_broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is spared already stays spared."""
    monkeypatch.setenv("NO_PROXY", "intra.example")
    monkeypatch.setenv("no_proxy", "other.example")
    _handles(
        scripted_broker,
        fields={"base_url": "https://a.test"},
        protocol="http",
        variables={"U_URL": "{base_url}"},
    )
    found = connection("warehouse").env()
    assert found["NO_PROXY"] == "intra.example,127.0.0.1,localhost,::1"
    assert found["no_proxy"] == "other.example,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("tcp", [False, True])
def test_what_libpq_would_believe_is_overridden(
    handle: Handle, monkeypatch: pytest.MonkeyPatch, tcp: bool
) -> None:
    """As far as it is set, and whoever has defined this kind; what says how to talk stays."""
    for name, value in {
        "PGHOSTADDR": "192.0.2.1",
        "PGTARGETSESSIONATTRS": "standby",
        "PGREQUIREPEER": "postgres",
        "PGSSLROOTCERT": "system",
        "PGCHANNELBINDING": "prefer",
        "PGOPTIONS": "-c search_path=mine",
        "PGAPPNAME": "report",
    }.items():
        monkeypatch.setenv(name, value)
    found = handle.env(tcp=tcp)
    assert {name: found.get(name) for name in ("PGHOSTADDR", "PGTARGETSESSIONATTRS", "PGREQUIREPEER")} == {
        "PGHOSTADDR": "",
        "PGTARGETSESSIONATTRS": "any",
        "PGREQUIREPEER": "",
    }
    assert found["PGSSLROOTCERT"] == ""
    assert not {"PGCHANNELBINDING", "PGOPTIONS", "PGAPPNAME"} & found.keys()


def test_a_service_that_is_named_is_refused(handle: Handle, monkeypatch: pytest.MonkeyPatch) -> None:
    """It can't be overridden: libpq looks for an empty one, too."""
    monkeypatch.setenv("PGSERVICE", "production")
    with pytest.raises(NotAllowed, match="PGSERVICE is set") as caught:
        handle.env()
    assert caught.value.details["variable"] == "PGSERVICE"
    assert "production" not in str(caught.value)


SOCKETS_TOO = {
    "DATABASE_URL": "postgresql://{user}:{token}@127.0.0.1:{port}/{database}",
    "DATABASE_SOCKET_URL": "postgresql://{user}@/{database}?host={directory}",
}


def test_where_loopback_is_closed_addresses_lead_to_sockets(
    scripted_broker: ScriptedBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On macOS nobody can tell who connects to a port. Who asks for one gets it all the same."""
    _handles(scripted_broker, variables=SOCKETS_TOO, tcp_variables={})
    assert connection("warehouse").env()["DATABASE_URL"].startswith("postgresql://app:")
    monkeypatch.setattr("connvault_jupyter.kernel.environment._LOOPBACK_IS_OPEN", False)
    scripted_broker.asked.clear()
    found = connection("warehouse").env()
    assert found["DATABASE_URL"] == found["DATABASE_SOCKET_URL"] == "postgresql://app@/sales?host=%2Frun%2Fh"
    assert _opened(scripted_broker) == [False]
    assert connection("warehouse").env(tcp=True)["DATABASE_URL"].startswith("postgresql://app:")
