"""How names look to people: what can't be seen is spelt out, all else stays as it is."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.services.visible_names import is_visible, visible

# Also those of the page: labextension/test/foreignText.test.ts.
VECTORS = json.loads(Path(__file__).parents[1].joinpath("support", "visible_names.json").read_text())


@pytest.mark.parametrize(("name", "shown"), VECTORS, ids=ascii)
def test_a_character_that_can_not_be_seen_is_spelt_out(name: str, shown: str) -> None:
    """One vector a kind."""
    assert visible(name) == shown
    assert is_visible(name) == (name == shown)


def test_every_separator_and_invisible_category_is_spelt_out() -> None:
    """By category, not by a list that somebody forgot to lengthen: all code points are tried."""
    for code in range(sys.maxunicode + 1):
        char = chr(code)
        if unicodedata.category(char)[0] in "CZ" and char != " ":
            assert visible(f"a{char}b") == f"a[U+{code:04X}]b"


@given(st.text(st.characters(), max_size=20), st.text(st.characters(), max_size=20))
def test_two_names_never_look_like_one(one: str, other: str) -> None:
    """What is shown can be read back."""
    assert (visible(one) == visible(other)) == (one == other)
    assert visible(one).isprintable()


@given(
    st.text(alphabet="ab[U+0] \u00a0\u200b5B]", max_size=12),
    st.text(alphabet="ab[U+0] \u00a0\u200b5B]", max_size=12),
)
def test_names_that_imitate_the_spelling_do_not_look_like_another(one: str, other: str) -> None:
    """A bracket that would begin a spelt-out character is spelt out itself."""
    assert (visible(one) == visible(other)) == (one == other)


def test_a_long_name_keeps_both_ends_and_tells_the_rest_by_a_digest() -> None:
    """A name that fills the limit with invisible characters is not cut before what it differs in."""
    unseen = "\u200b" * 900
    one, other = (f"folder/{unseen}{middle}{unseen}/x.ipynb" for middle in "ab")
    shown = visible(one, limit=4096)
    assert len(shown) == 4096
    assert shown.startswith("folder/[U+200B]")
    assert shown.endswith("/x.ipynb")
    assert shown != visible(other, limit=4096)
