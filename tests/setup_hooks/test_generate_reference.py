"""The pages of docs/reference are what the code says, and a docstring is Markdown there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import connvault_jupyter
from connvault_jupyter.contracts.operations import routed
from connvault_jupyter.errors import ConnvaultError
from connvault_jupyter.server.extension import ConnvaultExtension
from setup_hooks import generate_reference, generated, reference_rest
from setup_hooks.docstrings import markdown
from setup_hooks.generate_reference import FOLDER, outputs


def test_the_reference_is_up_to_date() -> None:
    """`python -m setup_hooks.generate_reference` was run after the last change."""
    assert generate_reference.main(["--check"]) == 0


def test_no_page_is_there_that_nothing_writes() -> None:
    """A page whose generator has gone would be stale for ever."""
    assert {path.name for path in FOLDER.iterdir()} == {path.name for path in outputs()}


def test_when_a_page_is_stale_the_check_fails_and_changes_nothing(tmp_path: Path) -> None:
    """Missing, or another text."""
    page = tmp_path / "page.md"
    assert generated.run("x", {page: "new\n"}, ["--check"]) == 1
    assert not page.exists()
    page.write_text("old\n")
    assert generated.run("x", {page: "new\n"}, ["--check"]) == 1
    assert page.read_text() == "old\n"
    assert generated.run("x", {page: "new\n"}, []) == 0
    assert generated.run("x", {page: "new\n"}, ["--check"]) == 0


def test_when_a_setting_has_other_words_its_page_is_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is made from the traits, not beside them."""
    monkeypatch.setattr(ConnvaultExtension.consent_timeout_s, "help", "Other words.")
    assert "| Other words. |" in generate_reference.settings()
    assert generate_reference.main(["--check"]) == 1


def test_every_route_and_every_error_is_in_the_reference() -> None:
    """Both tables are whole."""
    rest, python = reference_rest.rest(), generate_reference.python()
    assert all(f"`{http.method} {http.path}`" in rest for _, http in routed())
    assert all(f"`{kind.__name__}`" in python for kind in ConnvaultError.__subclasses__())


def test_every_public_name_setting_kind_and_opener_is_in_the_reference() -> None:
    """And each field of each form."""
    python, kinds = generate_reference.python(), generate_reference.kinds()
    assert [name for name in connvault_jupyter.__all__ if name[0] != "_" and name not in python] == []
    traits = ConnvaultExtension.class_own_traits(config=True)
    assert [name for name in traits if f"| `{name}` |" not in generate_reference.settings()] == []
    for provider in generate_reference._catalogue():
        assert f"Kind `{provider.id}`." in kinds
        assert [name for name in provider.field_schemas if f"| `{name}` |" not in kinds] == []
        openers = {name for delivery in provider.deliveries for name in delivery.openers}
        assert [name for name in openers if not re.search(rf"^### \.{name}\b", python, re.MULTILINE)] == []


def documented(text: str) -> object:
    def one() -> None: ...

    one.__doc__ = text
    return one


DOCSTRINGS = [
    ("First.\n\n    Second.\n", "First.\n\nSecond."),
    (
        "First.\n\n    Args:\n        name: a text\n            that goes on.\n        other: b.\n    ",
        "First.\n\n\n**Arguments**\n\n- `name`: a text that goes on.\n- `other`: b.",
    ),
    (
        "First.\n\n    Raises:\n        TypeError, ValueError: no.\n        UpstreamRefused.\n    ",
        "First.\n\n\n**Raises**\n\n- `TypeError`, `ValueError`: no.\n- `UpstreamRefused`.",
    ),
    (
        "First.\n\n    Raises: TypeError: no.\n        Also later.\n    ",
        "First.\n\n\n**Raises** `TypeError`: no. Also later.",
    ),
    ("First. Raises: as `url`.", "First. **Raises** as `url`."),
]


@pytest.mark.parametrize(("text", "expected"), DOCSTRINGS)
def test_a_docstring_is_markdown(text: str, expected: str) -> None:
    """Each form that ours have."""
    assert markdown(documented(text)) == expected
