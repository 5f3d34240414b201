"""What code says about itself, made fit to be shown."""

from __future__ import annotations

import string
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.contracts.request_limits import MAX_CLAIM_CHARS
from connvault_jupyter.services.requester_claims import MASK, cleaned, masked
from connvault_jupyter.services.secrets.guessability import maskable
from tests.support import properties as properties

_UNGUESSABLE = st.text(string.ascii_letters + string.digits, min_size=20, max_size=40).filter(maskable)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ("", None),
        (" \n\t ", None),
        ("\u202e\u2066\u200b", None),
        ("monthly  report\n", "monthly report"),
        ("a\u202eb\u200fc", "abc"),
        ("one\u2028two\r\nthree", "one two three"),
        ("bell\x07 esc\x1b[31m nul\x00", "bell esc[31m nul"),
        ("Größe 漢字 🎉", "Größe 漢字 🎉"),
        ("x" * 500, "x" * MAX_CLAIM_CHARS),
    ],
)
def test_a_cleaned_claim_is_plain_short_text(text: str | None, expected: str | None) -> None:
    """Control and bidirectional characters could make a dialog say something else."""
    assert cleaned(text) == expected


@given(st.text(max_size=400))
def test_a_cleaned_claim_is_one_bounded_line_whatever_it_was(text: str) -> None:
    """Cleaning twice changes nothing."""
    found = cleaned(text)
    if found is not None:
        assert 0 < len(found) <= MAX_CLAIM_CHARS
        assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for char in found)
        assert cleaned(found) == found


@given(st.text(max_size=80), _UNGUESSABLE, st.text(max_size=80))
def test_a_secret_in_a_claim_is_masked(before: str, secret: str, after: str) -> None:
    """Wherever it stands, and also if the limit would cut through it."""
    found = masked(before + secret + after, [secret], limit=60)
    assert found is None or secret not in found.replace(MASK, "")


def test_when_one_secret_is_inside_another_the_whole_is_masked() -> None:
    """No rest of the longer one is left."""
    inner = "Kq7vT2mZx9LpR4wB3nYs"
    assert masked(f"it is {inner}-long", [inner, f"{inner}-long"]) == f"it is {MASK}"


def test_a_secret_of_several_lines_is_masked_on_one_line_too() -> None:
    """A key pasted into a reason loses its line ends before it is shown."""
    assert masked("key BEGIN Kq7vT2mZx9LpR4wB END", ["BEGIN\nKq7vT2mZx9LpR4wB\nEND"]) == f"key {MASK}"


@pytest.mark.parametrize("secret", ["a", "hunter2", "correct-horse-battery"])
def test_a_secret_that_can_be_guessed_is_not_masked(secret: str) -> None:
    """Masking it would tell that the guess was right."""
    assert masked(f"it is {secret}", [secret]) == f"it is {secret}"
