"""From a sealed request to the request itself: the one place where it is opened. Cryptography is the vault's.

What is inside is parsed by the same contract as what comes in the open; nothing but its path and headers is compared.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from ..contracts.frames import decode
from ..contracts.operations import Operation
from ..contracts.problem import invalid_request
from ..contracts.sealed import Sealed
from ..errors import MalformedFrame, SealedRequestInvalid
from ..services.ports import Unsealer


def opened(operation: Operation, body: Any, unsealer: Unsealer) -> Any:
    """The body of `operation`, as it was before it was sealed; another body as it is.

    Raises:
        InvalidRequest: what is sealed does not look like it.
        SealingKeyChanged, SealedRequestInvalid: it does not open, or was sealed for another address than this one.
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
    # What path and headers say must be what the page meant: a request is not led to another connection or field.
    if any(name not in inside or inside[name] != value for name, value in outside.items()):
        raise SealedRequestInvalid
    return inside
