"""Definitions on the Jupyter data path that lead a relay elsewhere, or make other programs run something."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from connvault_jupyter.contracts.supervision import ConsentSettings
from tests.attacks.conftest import by_reason
from tests.support.broker.notebook_processes import Notebooks
from tests.support.broker.operator import operated_broker
from tests.support.broker.redis_notebooks import IN_THE_KERNEL
from tests.support.broker.requester import Refused, RequesterProcess
from tests.support.canary import CANARY
from tests.support.servers.redis_server import redis_server

BOUND: dict[str, Any] = {"type": "string", "x-destination": True}
HARBOUR: dict[str, Any] = {
    "id": "harbour",
    "name": "Harbour",
    "fields": {
        "type": "object",
        "properties": {
            "host": BOUND,
            "port": {"type": "integer", "x-destination": True},
            "sslmode": {**BOUND, "default": "disable"},
            "password": {"type": "string", "writeOnly": True},
        },
        "required": ["host", "port", "password"],
    },
    "destination": "{host}:{port}",
    "deliveries": [
        {
            "kind": "relay",
            "mode": "brokered",
            "protocol": "redis",
            "client": "redis",
            "openers": ["client"],
            "variables": {"HARBOUR_URL": "unix://{socket}"},
        }
    ],
}


Edit = Callable[[dict[str, Any]], object]


def delivery(definition: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definition["deliveries"][0]
    return found


def properties(definition: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = definition["fields"]["properties"]
    return found


def as_login(definition: dict[str, Any]) -> None:
    definition["deliveries"] = [
        {"kind": "login", "mode": "in_clear", "client": "arguments", "openers": ["arguments"]}
    ]


def as_mysql(definition: dict[str, Any]) -> None:
    delivery(definition).update(protocol="mysql", client="mysql", openers=["connect"])


REDIRECTED: dict[str, Edit] = {
    "another default for the encryption": lambda d: properties(d)["sslmode"].update(default="prefer"),
    "a certificate by default": lambda d: properties(d).update(ca_certificate={**BOUND, "default": "x"}),
    "one field less that binds": lambda d: properties(d).pop("sslmode"),
}
EDITS: dict[str, Edit] = {"none": lambda _: None, **REDIRECTED, "login": as_login, "mysql": as_mysql}


def kind(number: int) -> dict[str, Any]:
    return {**copy.deepcopy(HARBOUR), "id": f"harbour-{number}", "name": f"Harbour {number}"}


def name_of(edit: str) -> str:
    return f"berth{list(EDITS).index(edit)}"


@dataclass
class Later:
    """A kernel and its broker, after the definitions were edited. `asked`: the modes of the questions since."""

    notebooks: Notebooks
    kernel: RequesterProcess

    @property
    def asked(self) -> list[str]:
        return [question["mode"] for question in self.notebooks.asked()]


@pytest.fixture(scope="module")
def later() -> Iterator[Later]:
    """A connection of each kind was made, granted for always and used; then each kind was edited in its own way."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name, redis_server(password=CANARY) as server:
        home, folder = Path(name), Path(name, "providers")
        folder.mkdir()
        for number in range(len(EDITS)):
            (folder / f"{number}.json").write_text(json.dumps(kind(number)))
        with broker_and_kernel(home, folder) as first:
            for number, edit in enumerate(EDITS):
                fields = {"host": server.host, "port": server.port}
                first.notebooks.operator.create(
                    name_of(edit), f"harbour-{number}", fields, {"password": CANARY}
                )
                first.kernel.run(f"s = live(connection({name_of(edit)!r}, reason='always'))")
        for number, change in enumerate(EDITS.values()):
            definition = kind(number)
            change(definition)
            (folder / f"{number}.json").write_text(json.dumps(definition))
        with broker_and_kernel(home, folder) as second:
            yield second


@contextmanager
def broker_and_kernel(home: Path, folder: Path) -> Iterator[Later]:
    consent = ConsentSettings(cooldown_s=0)
    with operated_broker(home, rule=by_reason, consent=consent, provider_dirs=[str(folder)]) as (
        operator,
        path,
    ):
        notebooks = Notebooks(operator, home=home, socket_path=path)
        with notebooks.open("a.ipynb") as kernel:
            kernel.run(IN_THE_KERNEL)
            yield Later(notebooks, kernel)


def test_a_definition_that_was_not_changed_goes_on(later: Later) -> None:
    """The positive control: the grant counts, and nobody is asked."""
    before = len(later.asked)
    assert later.kernel.run(f"pinged(live(connection({name_of('none')!r})))") == "+PONG\r\n"
    assert len(later.asked) == before


@pytest.mark.parametrize("edit", REDIRECTED)
def test_an_edit_of_where_or_how_verified_opens_no_old_secret(later: Later, edit: str) -> None:
    """Defaults count as if they had been entered: what was sealed for other ones stays shut."""
    later.kernel.run(f"h = connection({name_of(edit)!r}, reason='once')")
    with pytest.raises(Refused):
        later.kernel.run("pinged(live(h))")
    with pytest.raises(Refused, match="SecretInvalid"):
        later.kernel.run(f"connection({name_of(edit)!r})")


def test_a_relay_that_becomes_a_login_in_the_clear_is_asked_for_anew(later: Later) -> None:
    """What was allowed as brokered is not allowed as plain text; the question says which."""
    with pytest.raises(Refused, match="AccessDenied"):
        later.kernel.run(f"connection({name_of('login')!r})")
    assert later.asked[-1] == "in_clear"


def test_an_edit_of_how_to_log_in_sends_the_secret_to_the_same_place_in_another_way(later: Later) -> None:
    """Asked for anew, but not stopped after a yes: whoever can write the definition chooses the protocol. The place is
    bound; it gets the secret."""
    with pytest.raises(Refused, match="AccessDenied"):
        later.kernel.run(f"connection({name_of('mysql')!r})")
    later.kernel.run(f"h = connection({name_of('mysql')!r}, reason='once')")
    assert later.kernel.run("h._handle_ref.open().protocol") == "mysql"


LEFT_OUT: dict[str, Edit] = {
    "psql runs what PSQLRC says": lambda d: delivery(d).update(variables={"PSQLRC": "/tmp/x"}),
    "a pager is a command": lambda d: delivery(d).update(tcp_variables={"AWS_PAGER": "sh -c x"}),
    "a library's plug-in": lambda d: delivery(d).update(variables={"LIBMYSQL_PLUGINS": "x"}),
    "another agent": lambda d: delivery(d).update(variables={"DOCKER_HOST": "tcp://127.0.0.1:1"}),
    "another host by recipe": lambda d: delivery(d).update(recipe={"token_url": "https://evil.test"}),
    "no encryption by recipe": lambda d: (
        properties(d).pop("sslmode"),
        delivery(d).update(recipe={"sslmode": "disable"}),
    ),
    "the secret in a variable": lambda d: delivery(d).update(variables={"HARBOUR_KEY": "{password}"}),
    "code in a place": lambda d: delivery(d).update(variables={"HARBOUR_KEY": "{host.__class__}"}),
}


def test_definitions_that_redirect_or_run_something_are_left_out() -> None:
    """Each with its reason; whoever has a connection of such a kind is told that its kind is not there."""
    with tempfile.TemporaryDirectory(prefix="cv-") as name:
        folder = Path(name, "providers")
        folder.mkdir()
        for number, edit in enumerate([lambda _: None, *LEFT_OUT.values()]):
            definition = copy.deepcopy(HARBOUR)
            definition.update(id=f"harbour-{number}", name=f"Harbour {number}")
            edit(definition)
            (folder / f"{number}.json").write_text(json.dumps(definition))
        with operated_broker(Path(name), provider_dirs=[str(folder)]) as (operator, _):
            found = operator.call("providers.list")
        assert [one["id"] for one in found["providers"] if "harbour" in one["id"]] == ["harbour-0"]
        assert len(found["skipped"]) == len(LEFT_OUT)
        assert all(one["reason"] for one in found["skipped"])
