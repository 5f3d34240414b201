"""A secret's string: hidden as an object, true as characters."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from connvault_jupyter.kernel.masked import MASK, MaskedStr
from tests.support.canary import CANARY, found_in

SECRET = MaskedStr(CANARY)


def test_repr_of_it_and_of_what_holds_it_is_masked() -> None:
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
