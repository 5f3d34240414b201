"""The tests of one file are run by one worker: what they share (a server, a broker) is a fixture of the module, which
`--dist loadgroup` would start once for each worker.

Browser tests share the server of the whole run instead, and take long: they are handed out one by one.
"""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("xdist_group") is None and item.get_closest_marker("e2e") is None:
            item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))
