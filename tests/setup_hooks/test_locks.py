"""The locks hold what pyproject.toml asks for: one that was forgotten shows here, and not in the next fresh clone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from setup_hooks import bootstrap, matrix

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PROJECT: dict[str, Any] = tomllib.loads((bootstrap.ROOT / "pyproject.toml").read_text())["project"]
ITSELF = canonicalize_name(PROJECT["name"])


def lock_of(python: str) -> str:
    return bootstrap.LOCKS.get(python, "dev.lock")


def locked(lock: str) -> dict[str, str]:
    """Name, as the index compares it -> version."""
    lines = (bootstrap.ROOT / "requirements" / lock).read_text().splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def needed(wanted: Iterable[str], python: str) -> Iterator[Requirement]:
    """Those for this Python on Linux; an extra of the package itself is what that extra needs."""
    for requirement in map(Requirement, wanted):
        if canonicalize_name(requirement.name) == ITSELF:
            for extra in requirement.extras:
                yield from needed(PROJECT["optional-dependencies"][extra], python)
        elif not requirement.marker or requirement.marker.evaluate(
            {"python_version": python, "sys_platform": "linux"}
        ):
            yield requirement


def lacking(wanted: Iterable[str], lock: dict[str, str], python: str) -> list[str]:
    return [
        f"{requirement}: {lock.get(canonicalize_name(requirement.name), 'not there')}"
        for requirement in needed(wanted, python)
        if not requirement.specifier.contains(
            lock.get(canonicalize_name(requirement.name), "0.dev0"), prereleases=True
        )
        or canonicalize_name(requirement.name) not in lock
    ]


@pytest.mark.parametrize("python", matrix.PYTHONS)
def test_the_lock_of_each_python_has_what_is_asked_for(python: str) -> None:
    """What the package, its extras, the tests and `make check` need: each in a version that will do."""
    wanted = [*PROJECT["dependencies"], f"{PROJECT['name']}[dev]"]
    assert lacking(wanted, locked(lock_of(python)), python) == []


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("zizmor>=999", r"zizmor>=999: \d.*"), ("no-such-package", "no-such-package: not there")],
)
def test_what_a_lock_lacks_is_named(wanted: str, found: str) -> None:
    """The positive control."""
    (told,) = lacking([wanted], locked("dev.lock"), "3.13")
    assert re.fullmatch(found, told)


def test_what_is_installed_is_enough_for_the_first_release_of_this_python() -> None:
    """Distributions keep early ones: Debian 12 has Python 3.11.2, where a package may want 3.11.5, and redis needs
    another one up to 3.11.2."""
    first = f"{sys.version_info.major}.{sys.version_info.minor}.0"
    there = {canonicalize_name(found.metadata["Name"]): found for found in metadata.distributions()}
    wanting = [
        f"{found.name} {found.version}: Python {found.metadata['Requires-Python']}"
        for found in there.values()
        if "Requires-Python" in found.metadata
        and not SpecifierSet(found.metadata["Requires-Python"]).contains(first)
    ]
    lacking = [
        f"{found.name} {found.version}: {requirement}"
        for found in there.values()
        for requirement in map(Requirement, found.requires or [])
        if (
            requirement.marker is None
            or requirement.marker.evaluate({"extra": "", "python_full_version": first})
        )
        and canonicalize_name(requirement.name) not in there
    ]
    assert wanting + lacking == []


def test_each_python_that_is_tested_is_one_that_the_package_names() -> None:
    """`make matrix`, the workflow's table and the classifiers are one list."""
    workflow = (bootstrap.ROOT / ".github" / "workflows" / "tests.yml").read_text()
    (table,) = re.findall(r"^ +python: \[(.*)\]$", workflow, re.MULTILINE)
    named = re.findall(r"Python :: (3\.\d+)", " ".join(PROJECT["classifiers"]))
    assert tuple(re.findall(r"\d+\.\d+", table)) == tuple(named) == matrix.PYTHONS
