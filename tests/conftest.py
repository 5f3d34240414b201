"""What every test may use. The fixtures live in tests/support, one idea a file."""

from __future__ import annotations

pytest_plugins = [
    "tests.support.no_skips",
    "tests.support.properties",
    "tests.support.folders",
    "tests.support.services.expected_waits",
    "tests.support.servers.postgres",
    "tests.support.servers.secret_service",
    "tests.support.browser.jupyter_server",
    "tests.support.browser.browser",
]
