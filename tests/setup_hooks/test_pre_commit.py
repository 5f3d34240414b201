"""A commit is looked at by whatever `make check` runs, with the tools of the checkout."""

from __future__ import annotations

import re

import pytest

from setup_hooks.bootstrap import ROOT

HOOKS = (ROOT / ".pre-commit-config.yaml").read_text()


def commands() -> list[str]:
    """The command of each line of the Makefile's targets `check-...`, as a hook writes it."""
    makefile = (ROOT / "Makefile").read_text()
    recipes = re.findall(r"^check-[a-z]+:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    lines = [line.strip() for recipe in recipes for line in recipe.splitlines()]
    return [
        line.replace("$(PY)", ".venv/bin/python")
        .replace("cd labextension && ", "")
        .replace("npm run --silent lint", "eslint --max-warnings 0")
        .replace("npx --no-install ", "")
        .removesuffix(" .")
        # What it changes fails the commit.
        .replace("format --check", "format")
        for line in lines
    ]


def test_the_checks_of_the_makefile_are_found() -> None:
    """The positive control: else the test below would try nothing."""
    assert ".venv/bin/ruff check" in commands()
    assert len(commands()) >= 10


@pytest.mark.parametrize("command", commands())
def test_a_commit_is_checked_as_make_check_does(command: str) -> None:
    """Each check has its hook."""
    assert command in " ".join(HOOKS.split())


def test_the_hooks_download_nothing() -> None:
    """Each is the project's own, and runs what is installed."""
    assert re.findall(r"repo: (\S+)", HOOKS) == ["local"]
    assert set(re.findall(r"language: (\S+)", HOOKS)) == {"system"}
    assert HOOKS.count("language: ") == HOOKS.count("- id: ")
