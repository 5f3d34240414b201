"""A secret's string: hidden as an object, true as characters."""

from __future__ import annotations

import copy
import functools
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from connvault_jupyter.kernel.masked import MASK, HandleToken, MaskedStr
from tests.support.canary import CANARY, found_in

SECRET = MaskedStr(CANARY)
TOKEN = HandleToken("a-handle's-own-token")


def test_repr_of_a_secret_and_of_what_holds_it_is_masked() -> None:
    """Cell output, Verbose tracebacks and %r go through repr."""
    assert repr(SECRET) == MASK
    for shown in (repr([SECRET]), repr({"password": SECRET}), f"{SECRET!r}"):
        assert not found_in(shown)


def test_libraries_get_the_true_characters() -> None:
    """psycopg calls str(), requests encodes, a JSON body is dumped."""
    assert str(SECRET) == CANARY
    assert type(str(SECRET)) is str
    assert f"{SECRET}" == CANARY
    assert SECRET.encode() == CANARY.encode()
    assert json.loads(json.dumps({"token": SECRET})) == {"token": CANARY}
    assert SECRET == CANARY


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
def test_copies_and_pickles_are_refused(copied: object) -> None:
    """It must not slip into a file or another process."""
    with pytest.raises(TypeError) as caught:
        copied([SECRET] if copied is not copy.copy else SECRET)  # type: ignore[operator]
    assert not found_in(str(caught.value))


def _pickled(one: Any, protocol: int) -> Any:
    return pickle.loads(pickle.dumps(one, protocol))  # noqa: S301 -- our own


@pytest.mark.parametrize(
    "copied",
    [copy.copy, copy.deepcopy, *(functools.partial(_pickled, protocol=number) for number in range(6))],
)
def test_a_handles_own_token_is_copied_and_pickled(copied: Callable[[Any], Any]) -> None:
    """Dask, joblib and polars do it with their `storage_options`. It stays hidden where it arrives."""
    for holder in (TOKEN, {"key": TOKEN}, [TOKEN]):
        found = copied(holder)
        assert found == holder
        assert TOKEN not in repr(found)
        assert MASK in repr(found)
    assert copied(TOKEN).encode() == TOKEN.encode()
