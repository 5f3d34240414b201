"""Errors of libraries whose connection was lost: the card says which handle's, and why."""

from __future__ import annotations

from typing import Any

import pytest

from connvault_jupyter import errors
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.notebook.fixit import FIXIT_MIME
from tests.support.broker.scripted_broker import Handles, ScriptedBroker
from tests.support.browser.shell import Shell
from tests.support.canary import CANARY


@pytest.fixture
def handles(scripted_broker: ScriptedBroker) -> Handles:
    return Handles(fields={}, secrets={"password": CANARY}).install(scripted_broker)


LOST = "class OperationalError(Exception): pass\nraise OperationalError({!r})"

# What libpq says of the place that the script has for its handles.
LOSS = LOST.format('connection to server on socket "/run/h/.s.PGSQL.5432" failed: No such file or directory')
UNRELATED = [
    LOST.format("server closed the connection unexpectedly"),
    LOST.format('connection to server on socket "/run/h2/.s.PGSQL.5432" failed: No such file or directory'),
    LOST.format("HTTPConnectionPool(host='127.0.0.1', port=50124): Max retries exceeded with url: /"),
    LOST.format("Cannot connect to host 10.127.0.0.1:50123 ssl:default"),
    "raise ConnectionResetError(104, 'Connection reset by peer')",
    "import socket\nsocket.create_connection(('127.0.0.1', 1))",
    "raise TimeoutError",
    "1/0",
]


def opened(shell: Shell) -> None:
    """A handle that something in this kernel knows the place of."""
    shell.run("handle = connection('warehouse'); place = handle._handle_ref.open(tcp=True)")


@pytest.mark.parametrize(
    ("refusal", "title", "message", "labels"),
    [
        (
            errors.HandleInvalid(reason="revoked"),
            "its permission was revoked",
            'Call connection("warehouse") to ask again.',
            ["Who may use it"],
        ),
        (
            errors.HandleInvalid(reason="expired"),
            "its permission expired",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="evicted"),
            "it made room for a newer handle",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="kernel_gone"),
            "its kernel has ended",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="foreign"),
            "it belongs to another process",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.HandleInvalid(reason="changed"),
            "the connection was changed",
            'Call connection("warehouse") to ask again.',
            ["Show the connection"],
        ),
        (
            errors.HandleInvalid(reason="deleted"),
            "the connection was deleted",
            "Create it again in the Connections panel.",
            ["Create “warehouse”"],
        ),
        (
            errors.HandleInvalid(reason="unknown"),
            "its permission has ended",
            'Call connection("warehouse") to ask again.',
            [],
        ),
        (
            errors.VaultLocked(),
            "the vault was locked",
            "Unlock it, then run the cell again.",
            ["Unlock"],
        ),
    ],
)
def test_a_lost_connection_that_the_broker_has_ended_says_why(
    shell: Shell, handles: Handles, refusal: ConnvaultError, title: str, message: str, labels: list[str]
) -> None:
    """The library only knows that it is gone; its own error stays, and the card tells the rest."""
    opened(shell)
    handles.refusal = refusal
    result = shell.run(LOSS)
    assert type(result.error_in_exec).__name__ == "OperationalError"
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["title"] == f"The open clients of “warehouse” were closed: {title}."
    assert (found["message"], found["instead"]) == (message, False)
    assert [action["label"] for action in found["actions"]] == labels


@pytest.mark.parametrize(
    "said",
    [
        "HTTPConnectionPool(host='127.0.0.1', port=50123): Max retries exceeded with url: /",
        "Cannot connect to host 127.0.0.1:50123 ssl:default [Connect call failed ('127.0.0.1', 50123)]",
        'connection to server at "127.0.0.1", port 50123 failed: Connection refused',
        "Error 2 connecting to unix:///run/h/s. No such file or directory.",
        "postgresql://ada@/sales?host=%2Frun%2Fh&port=5432 is lost",
    ],
)
def test_an_error_that_names_a_handles_place_is_about_that_handle(
    shell: Shell, handles: Handles, said: str
) -> None:
    """Whatever library it is of: it was given the handle's address."""
    opened(shell)
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(LOST.format(said))
    assert len(shell.bundles(FIXIT_MIME)) == 1


@pytest.mark.parametrize(
    "wrapped", ["raise RuntimeError('no data') from exc", "raise RuntimeError('no data')"]
)
def test_an_error_that_a_library_made_of_a_relays_is_about_the_same_handle(
    shell: Shell, handles: Handles, wrapped: str
) -> None:
    """The chain is what a traceback shows."""
    opened(shell)
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(f"try: raise OSError(2, 'gone', '/run/h/s')\nexcept OSError as exc: {wrapped}")
    assert len(shell.bundles(FIXIT_MIME)) == 1
    shell.run(
        "try: raise OSError(2, 'gone', '/run/h/s')\nexcept OSError: raise RuntimeError('no data') from None"
    )
    assert len(shell.bundles(FIXIT_MIME)) == 1


@pytest.mark.parametrize("cell", UNRELATED)
def test_an_error_of_something_else_has_no_card(shell: Shell, handles: Handles, cell: str) -> None:
    """Also when a handle has ended just now: nobody is asked, and nothing is blamed."""
    opened(shell)
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(cell)
    assert shell.bundles(FIXIT_MIME) == []


def test_a_lost_connection_of_a_good_handle_has_no_card(shell: Shell, handles: Handles) -> None:
    """It was the server, or the network."""
    opened(shell)
    shell.run(LOSS)
    assert shell.bundles(FIXIT_MIME) == []


def test_what_gave_out_an_address_is_known_though_its_handle_is_dropped(
    shell: Shell, handles: Handles
) -> None:
    """Somebody may use it."""
    shell.run("lease = connection('warehouse')._handle_ref; lease.open(); lease.give_out(); del lease")
    handles.refusal = errors.HandleInvalid(reason="revoked")
    shell.run(LOSS)
    assert len(shell.bundles(FIXIT_MIME)) == 1


class Two(Handles):
    """`warehouse` and `lake`, each with a place of its own, and refused for its own reason."""

    def __init__(self) -> None:
        super().__init__(fields={}, secrets={})
        self.of: dict[str, str] = {}
        self.why: dict[str, ConnvaultError] = {}

    def request(self, body: dict[str, Any]) -> dict[str, Any]:
        given = super().request({**body, "connection": "warehouse"})
        self.of[given["ref"]] = body["connection"]
        return {**given, "connection": body["connection"]}

    def open(self, body: dict[str, Any]) -> dict[str, Any]:
        directory = f"/run/{self.of[body['ref']]}"
        return {**super().open(body), "directory": directory, "socket": f"{directory}/s"}

    def _refuse(self, body: dict[str, Any]) -> None:
        self.refusal = self.why.get(self.of[body["ref"]])
        super()._refuse(body)


@pytest.fixture
def two(shell: Shell, scripted_broker: ScriptedBroker) -> Two:
    made = Two()
    made.install(scripted_broker)
    shell.run("one, other = connection('warehouse'), connection('lake')")
    shell.run("one._handle_ref.open(); other._handle_ref.open()")
    return made


OF_ONE = LOST.format("Error 2 connecting to unix:///run/warehouse/s. No such file or directory.")


def test_the_card_is_about_the_connection_that_was_lost(shell: Shell, two: Two) -> None:
    """Not about another one that has ended too, before or after it: that one is beside it, and told once."""
    two.why["lake"] = errors.HandleInvalid(reason="expired")
    shell.run(OF_ONE)
    assert shell.bundles(FIXIT_MIME) == []
    two.why["warehouse"] = errors.HandleInvalid(reason="revoked")
    shell.run(OF_ONE)
    shell.run(OF_ONE)
    said = [(found["title"], found["message"]) for found in shell.bundles(FIXIT_MIME)]
    title = "The open clients of “warehouse” were closed: its permission was revoked."
    assert said == [
        (title, "So were those of “lake”: its permission expired. Call connection() for each to ask again."),
        (title, 'Call connection("warehouse") to ask again.'),
    ]


def test_those_that_have_ended_for_one_reason_are_listed_together(shell: Shell, two: Two) -> None:
    """As after a lock, or after a revoke of all."""
    for name in ("warehouse", "lake"):
        two.why[name] = errors.VaultLocked()
    shell.run(OF_ONE)
    (found,) = shell.bundles(FIXIT_MIME)
    assert found["title"] == "The open clients of “warehouse” and “lake” were closed: the vault was locked."
    assert [action["label"] for action in found["actions"]] == ["Unlock"]
