"""Tests that share a server are run by one worker: with `--dist loadgroup` each worker would start one for itself."""

from __future__ import annotations

import pytest

# Below tests/. What starts a Jupyter server there is a fixture of its module.
_FOLDERS = frozenset({"server", "faults"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent.name in _FOLDERS and item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
