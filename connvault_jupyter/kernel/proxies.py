"""Keeps traffic to a handle's loopback endpoint away from proxies set in the environment.

Such a proxy can't reach this process's loopback, and would get the request with the handle's token.
"""

from __future__ import annotations

import os
import sys

_SPARED = ("127.0.0.1", "localhost", "::1")

# Some programs read one, some the other, and some the second only if the first is missing.
_NAMES = ("NO_PROXY", "no_proxy")

# A single star excludes everything; in a list it has no effect.
_EVERYTHING = "*"


def sparing() -> dict[str, str]:
    """This process's `NO_PROXY` and `no_proxy`, with loopback added."""
    present = {name: os.environ.get(name, "").strip() for name in _NAMES}
    return {
        name: _with_loopback(present[name] or next(filter(None, present.values()), "")) for name in _NAMES
    }


def spare() -> None:
    """Sets them, for the libraries of this process and its children."""
    if sys.platform == "darwin" and not any(name.lower().endswith("_proxy") for name in os.environ):
        # Any such variable would disable the system's own settings (urllib.request.getproxies).
        return
    for name, value in sparing().items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _with_loopback(value: str) -> str:
    if value == _EVERYTHING:
        return value
    hosts = [host for part in value.split(",") if (host := part.strip())]
    return ",".join([*hosts, *(host for host in _SPARED if host not in hosts)])
