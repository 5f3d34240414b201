"""A stand-in that lets anybody in would prove nothing."""

from __future__ import annotations

import pytest
import requests

from .stand_in_server import serving
from .stand_ins import STAND_INS


@pytest.mark.parametrize("name", STAND_INS)
def test_a_stand_in_answers_to_its_credential_alone(name: str) -> None:
    """As the relay will send it; any other, and none, is a 401."""
    stand_in = STAND_INS[name]
    method, path = next(iter(stand_in.answers)).split(" ", 1)
    with serving(stand_in, "the-key") as address:

        def status(key: str | None) -> int:
            headers = {} if key is None else {stand_in.header: key}
            return requests.request(method, address + path, headers=headers, timeout=20).status_code

        assert status(stand_in.wants("the-key")) in {200, 204}
        assert status(stand_in.wants("another")) == 401
        assert status("the-key-") == 401
        assert status(None) == 401
