"""Every operation at its door: a wrong body gets the Problem that names the wrong place, and nothing happens."""

from __future__ import annotations

import logging
import os
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from connvault_jupyter.broker.dispatch import Dispatch, Table
from connvault_jupyter.contracts.access import Delivered
from connvault_jupyter.contracts.frames import MAX_FRAME_BYTES, decode, encode
from connvault_jupyter.contracts.operation import Operation
from connvault_jupyter.contracts.operations import BY_DOOR, OPERATIONS
from connvault_jupyter.contracts.providers import Delivery, ProviderDefinition, ProviderList
from connvault_jupyter.errors import InvalidRequest, RequestTooLarge, UnknownOperation
from connvault_jupyter.vault.sealed_requests import SealedRequests
from tests.support.broker.operator import Operator, operated_broker
from tests.support.broker.raw_requester import RawRequester, asking
from tests.support.services.examples import EXAMPLES, example, wrong_bodies

OPERATOR = tuple(BY_DOOR["operator"].values())
REQUESTER = tuple(BY_DOOR["requester"].values())


def cases(operations: tuple[Operation, ...]) -> list[Any]:
    return [
        pytest.param(operation.name, body, path, id=f"{operation.name}-{what}")
        for operation in operations
        for what, body, path in wrong_bodies(operation)
    ]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Operator, str]]:
    """A real broker with an unlocked vault."""
    with operated_broker(tmp_path_factory.mktemp("doors")) as found:
        yield found


@pytest.fixture(scope="module")
def asker(broker: tuple[Operator, str]) -> Iterator[RawRequester]:
    """One connection for all cases: a wrong body does not end it."""
    with asking(broker[1]) as found:
        yield found


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda found: f"{found.door}-{found.name}")
def test_the_example_of_each_operation_fits(operation: Operation) -> None:
    """The wrong bodies are wrong in one place only because the example is right."""
    operation.request.model_validate(example(operation.request))


def test_there_is_no_example_too_many() -> None:
    """The examples follow the table."""
    assert {operation.request.__name__ for operation in OPERATIONS} == EXAMPLES.keys()


@pytest.mark.parametrize(("name", "body", "path"), cases(OPERATOR))
def test_a_wrong_body_at_the_operator_door_names_its_place(
    broker: tuple[Operator, str], name: str, body: Any, path: str
) -> None:
    """Missing, extra, of another type, too long."""
    answer = broker[0].broker.call(name, body, actor="a test").exception(20)
    assert isinstance(answer, InvalidRequest)
    assert path in {error["path"].partition(".")[0] for error in answer.details["errors"]}


@pytest.mark.parametrize(("name", "body", "path"), cases(REQUESTER))
def test_a_wrong_body_at_the_requester_door_names_its_place(
    asker: RawRequester, name: str, body: Any, path: str
) -> None:
    """Missing, extra, of another type, too long."""
    problem = asker.ask(name, body)["problem"]
    assert (problem["code"], problem["status"]) == ("invalid_request", 400)
    assert path in {error["path"].partition(".")[0] for error in problem["errors"]}


@pytest.mark.parametrize("name", BY_DOOR["operator"])
def test_an_oversize_body_at_the_operator_door_is_refused(broker: tuple[Operator, str], name: str) -> None:
    """It is not even sent."""
    answer = broker[0].broker.call(name, {"x": "x" * MAX_FRAME_BYTES}).exception(20)
    assert isinstance(answer, RequestTooLarge)


@pytest.mark.parametrize("name", BY_DOOR["requester"])
def test_an_oversize_body_at_the_requester_door_ends_the_connection(
    broker: tuple[Operator, str], name: str
) -> None:
    """The announced length is enough; the body is not waited for."""
    with asking(broker[1]) as asker:
        asker.stream.sendall(struct.pack(">I", MAX_FRAME_BYTES + 1) + b'{"op":"' + name.encode())
        assert asker.answer()["problem"]["code"] == "request_too_large"
        assert asker.hung_up()


@pytest.mark.parametrize("name", sorted(BY_DOOR["operator"].keys() - BY_DOOR["requester"].keys()))
def test_an_operators_operation_is_unknown_at_the_requester_door(asker: RawRequester, name: str) -> None:
    """Notebook code can't do what a person does."""
    assert asker.ask(name, {})["problem"]["code"] == "unknown_operation"


@pytest.mark.parametrize(
    "name", [*sorted(BY_DOOR["requester"].keys() - BY_DOOR["operator"].keys()), "", "start"]
)
def test_another_doors_operation_is_unknown_at_the_operator_door(
    broker: tuple[Operator, str], name: str
) -> None:
    """A handle is delivered to its holder only."""
    assert isinstance(broker[0].broker.call(name, {}).exception(20), UnknownOperation)


def test_dispatch_refuses_a_table_with_a_gap() -> None:
    """An operation without a function is noticed when the broker starts."""
    with pytest.raises(ValueError, match="differ"):
        Dispatch(
            table={},
            unsealer=SealedRequests(randomness=os.urandom),
            lock=threading.RLock(),
            log=logging.getLogger("test"),
        )


def test_an_answer_that_utf_8_can_t_say_is_an_answer_all_the_same() -> None:
    """Half a character in the schema of some provider: the list of all kinds must not fail for it."""
    definition = ProviderDefinition(
        id="odd",
        name="Odd",
        fields={"title": "\ud800"},
        deliveries=[Delivery(kind="reveal", mode="reveal", client="secret")],
    )
    nothing: Table = {(operation.door, operation.name): lambda _: None for operation in OPERATIONS}
    table: Table = {**nothing, ("operator", "providers.list"): lambda _: ProviderList(providers=[definition])}
    dispatch = Dispatch(
        table=table,
        unsealer=SealedRequests(randomness=os.urandom),
        lock=threading.RLock(),
        log=logging.getLogger("test"),
    )
    answer = decode(encode(dispatch.for_operator("providers.list", {}, "ada"))[4:])
    assert answer["body"]["providers"][0]["fields"] == {"title": "\ud800"}


@pytest.mark.parametrize(
    ("actor", "begins", "length"),
    [("ada", "ada", 3), ("a\u200bda", "a[U+200B]da", 11), ("a" * 201, "aaa", 200)],
)
def test_the_name_of_whoever_decides_is_visible_and_short(actor: str, begins: str, length: int) -> None:
    """It goes on record, and the server has it from wherever its users come from."""
    seen: list[str] = []
    nothing: Table = {(operation.door, operation.name): lambda _: None for operation in OPERATIONS}
    dispatch = Dispatch(
        table={**nothing, ("operator", "vault.lock"): lambda asked: seen.append(asked.actor)},
        unsealer=SealedRequests(randomness=os.urandom),
        lock=threading.RLock(),
        log=logging.getLogger("test"),
    )
    assert dispatch.for_operator("vault.lock", {}, actor)["ok"]
    (found,) = seen
    assert found.startswith(begins)
    assert len(found) == length


def test_no_operator_answer_can_hold_a_secret() -> None:
    """`Delivered` exists at the requester door only."""
    assert "'format': 'password'" in str(Delivered.model_json_schema())
    for operation in OPERATOR:
        # How pydantic marks a SecretStr.
        assert "'format': 'password'" not in str(operation.response.model_json_schema()), operation.name


def test_whatever_takes_a_secret_from_a_person_may_come_sealed() -> None:
    """The server's process need not have it; nothing else is sealed, so that the rest can be looked at on its way."""
    for operation in OPERATIONS:
        # How pydantic marks a SecretStr.
        takes_one = "'format': 'password'" in str(operation.request.model_json_schema())
        assert operation.sealable is takes_one, operation.name


def test_a_second_request_before_the_answer_ends_the_connection(broker: tuple[Operator, str]) -> None:
    """One request at a time; the second one is never looked at."""
    with asking(broker[1]) as asker:
        frame = b'{"op":"connections.list","body":{}}'
        asker.stream.sendall(2 * (struct.pack(">I", len(frame)) + frame))
        assert asker.answer()["problem"]["code"] == "malformed_frame"
        assert asker.hung_up()
