"""Opens sealed requests; no other module does. The cryptography is in `vault`.

The content is parsed by the same contract as an unsealed request; only path and headers are compared.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ..contracts.frames import decode
from ..contracts.operation import Operation
from ..contracts.problem import invalid_request
from ..contracts.sealed import Sealed
from ..errors import MalformedFrame, SealedRequestInvalid
from ..services.ports import Unsealer


def opened(operation: Operation, body: Any, unsealer: Unsealer) -> Any:
    """The body of `operation` before it was sealed; an unsealed body is returned unchanged.

    Raises:
        InvalidRequest: the sealed request is malformed.
        SealingKeyChanged, SealedRequestInvalid: it can't be opened, or was sealed for another address than this one.
    """
    if not operation.sealable or not isinstance(body, dict) or "sealed" not in body:
        return body
    outside = {name: value for name, value in body.items() if name != "sealed"}
    try:
        sealed = Sealed.model_validate({"sealed": body["sealed"]}).sealed
    except ValidationError as exc:
        raise invalid_request(exc) from None
    try:
        inside = decode(unsealer.open(sealed, operation.name))
    except MalformedFrame:
        raise SealedRequestInvalid from None
    # Path and headers must match what the page sealed, so that a request can't be redirected to another connection or
    # field.
    if any(name not in inside or inside[name] != value for name, value in outside.items()):
        raise SealedRequestInvalid
    return inside
