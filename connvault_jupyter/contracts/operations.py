"""The one table of operations. Dispatch, REST routes, openapi.json, TypeScript types and tests are made from it.

Adding an operation is one entry in `operator_operations` or `requester_operations` plus one function in the broker's
dispatch. No behaviour belongs here.
"""

from __future__ import annotations

from collections.abc import Iterator

from .operation import Door, Http, Operation
from .operator_operations import OPERATOR
from .requester_operations import REQUESTER

REST_PREFIX = "/connvault/api/v1"

OPERATIONS: tuple[Operation, ...] = OPERATOR + REQUESTER

BY_DOOR: dict[Door, dict[str, Operation]] = {
    "operator": {operation.name: operation for operation in OPERATOR},
    "requester": {operation.name: operation for operation in REQUESTER},
}


def routed() -> Iterator[tuple[Operation, Http]]:
    """The operations that have an HTTP route, in the order of the table."""
    for operation in OPERATIONS:
        if operation.http is not None:
            yield operation, operation.http
