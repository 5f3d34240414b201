"""The words after %connections."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connvault_jupyter.notebook.command import VERBS, BadCommand, Command, identifier, parse


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("", Command()),
        ("   ", Command()),
        ("list", Command("list")),
        ("help", Command("help")),
        ("new", Command("new")),
        ("new postgresql", Command("new", provider="postgresql")),
        (
            "new postgresql name=warehouse host=db.internal database='my db'",
            Command("new", "warehouse", "postgresql", {"host": "db.internal", "database": "my db"}),
        ),
        ("new http base_url=https://a.test/x?y=1", Command("new", "", "http", {"base_url": "https://a.test/x?y=1"})),
        ("use warehouse", Command("use", name="warehouse", variable="warehouse")),
        ("use my-db.eu", Command("use", name="my-db.eu", variable="my_db_eu")),
        ("use warehouse as w", Command("use", name="warehouse", variable="w")),
        ("use db --reason monthly report", Command("use", "db", variable="db", reason="monthly report")),
        ("use db as w --reason='monthly report'", Command("use", "db", variable="w", reason="monthly report")),
        ("show warehouse", Command("show", name="warehouse")),
        ("revoke warehouse", Command("revoke", name="warehouse")),
        ("audit", Command("audit")),
        ("audit warehouse", Command("audit", name="warehouse")),
    ],
)  # fmt: skip
def test_a_line_is_read(line: str, command: Command) -> None:
    """Every form of every sub-command."""
    assert parse(line) == command


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("lst", "list, new, use"),
        ("list all", "%connections list"),
        ("new host=x", "comes first"),
        ("new postgresql host = x", "without spaces"),
        ("new postgresql sales", "without spaces"),
        ("use", "use NAME"),
        ("use warehouse w", "use NAME"),
        ("use warehouse as", "use NAME"),
        ("use warehouse as 1st", "Python name"),
        ("use warehouse as class", "Python name"),
        ("use class", "Python name"),
        ("use warehouse --reason", "--reason needs a text"),
        ("show", "show NAME"),
        ("revoke a b", "revoke NAME"),
        ("audit a b", "audit [NAME]"),
        ("use 'warehouse", "quotation mark"),
    ],
)
def test_a_wrong_line_says_how_it_is_written(line: str, hint: str) -> None:
    """The message is the usage."""
    with pytest.raises(BadCommand) as caught:
        parse(line)
    assert hint in str(caught.value)


@given(st.text(max_size=60))
def test_no_line_does_anything_else(line: str) -> None:
    """A command or a `BadCommand`, and never what was typed in the message."""
    for verb in ("", *VERBS):
        try:
            verb_read, message = parse(f"{verb} {line}").verb, ""
        except BadCommand as exc:
            verb_read, message = "", str(exc)
        assert verb_read in ("", *VERBS)
        assert len(line) < 12 or line not in message


@given(st.text(max_size=20))
def test_a_variable_is_a_python_name(name: str) -> None:
    """Or there is none."""
    found = identifier(name)
    assert found is None or found.isidentifier()
