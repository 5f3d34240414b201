"""A release that says something else than it is, is not made."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from connvault_jupyter._version import __version__
from setup_hooks import distribution

HOME = "https://forge.test/us/project"


def wheel_with(metadata: str, folder: Path) -> Path:
    path = folder / "it-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "it-1.dist-info/METADATA", f"Metadata-Version: 2.4\nName: it\nVersion: 1\n{metadata}\nText\n"
        )
    return path


def test_a_tag_of_this_version_is_released() -> None:
    """The positive control, and a build by hand."""
    assert distribution.wrong_tag(f"v{__version__}") == ""
    assert distribution.wrong_tag("") == ""


@pytest.mark.parametrize("tag", ["v999.0.0", __version__, f"v{__version__}.post1"])
def test_another_tag_is_refused_with_both_versions(tag: str) -> None:
    """The message names the tag, and the file to look into."""
    told = distribution.wrong_tag(tag)
    assert tag in told
    assert f"_version.py says {__version__}" in told


def test_a_wheel_that_names_its_repository_is_released(tmp_path: Path) -> None:
    """Among other addresses; and a build by hand needs none."""
    wheel = wheel_with(f"Project-URL: Issues, {HOME}/issues\nProject-URL: Source, {HOME}\n", tmp_path)
    assert distribution.wrong_source(HOME, wheel) == ""
    assert distribution.wrong_source("", wheel) == ""


@pytest.mark.parametrize(
    ("metadata", "named"),
    [
        ("Project-URL: Source, https://forge.test/somebody/else\n", "https://forge.test/somebody/else"),
        (f"Project-URL: Issues, {HOME}\n", "no address"),
        ("", "no address"),
    ],
)
def test_a_wheel_that_leads_elsewhere_is_refused(metadata: str, named: str, tmp_path: Path) -> None:
    """The message has both."""
    told = distribution.wrong_source(HOME, wheel_with(metadata, tmp_path))
    assert HOME in told
    assert f"has {named} as Source" in told
