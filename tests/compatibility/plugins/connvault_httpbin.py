"""A pytest plugin for requests' suite: its httpbin is at an address that is given, and wants a key.

What goes there gets the key below everything that the tests look at: in the adapter, as libraries' own adapters do.
"""

import os

import pytest
from requests.adapters import HTTPAdapter

URL, KEY = os.environ["HTTPBIN_URL"], os.environ["HTTPBIN_KEY"]


class _Place:
    url = URL
    host, _, port = URL.partition("://")[2].partition("/")[0].partition(":")


class _InItsPlace:
    @pytest.fixture(scope="session")
    def httpbin(self):
        return _Place()


def pytest_sessionstart(session):
    # After pytest-httpbin, whose fixture has the same name.
    session.config.pluginmanager.register(_InItsPlace(), "connvault-httpbin-place")


def pytest_configure():
    send = HTTPAdapter.send

    def send_with_key(self, request, **others):
        if not (request.url or "").startswith(URL):
            return send(self, request, **others)
        request.headers["X-Api-Key"] = KEY
        try:
            return send(self, request, **others)
        finally:
            del request.headers["X-Api-Key"]

    HTTPAdapter.send = send_with_key
