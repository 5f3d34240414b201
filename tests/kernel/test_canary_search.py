"""The positive control: the search finds the canary in every disguise, and nothing where there is none."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest

from tests.support.canary import CANARY, found_in


@pytest.mark.parametrize(
    "sink",
    [
        f"password={CANARY}!",
        json.dumps({"password": CANARY}),
        repr(CANARY),
        f"https://example.org/?key={quote(CANARY, safe='')}",
        base64.b64encode(f"user:{CANARY}".encode()).decode(),
        base64.b64encode(f"use:{CANARY}".encode()).decode(),
        base64.b64encode(f"us:{CANARY}".encode()).decode(),
        CANARY.encode().hex(),
        CANARY[::-1],
    ],
)
def test_a_hidden_canary_is_found(sink: str) -> None:
    """Each encoding that a sink may use."""
    assert found_in(sink)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_canary_in_wide_characters_is_found(encoding: str) -> None:
    """Browser storage is UTF-16."""
    assert found_in(CANARY.encode(encoding))


def test_the_search_finds_nothing_where_nothing_is() -> None:
    """A search that always finds would prove nothing."""
    assert found_in("a warehouse, a canary bird, a secret") == []
