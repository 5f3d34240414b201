"""Keeps what goes to a handle's loopback endpoint away from the proxies that the environment names.

Such a proxy can't reach this process's loopback, and would get the request with the handle's token in it.
"""

from __future__ import annotations

import os
import sys

_SPARED = ("127.0.0.1", "localhost", "::1")

# Some programs read the one, some the other, and some the other only where the one is missing.
_NAMES = ("NO_PROXY", "no_proxy")

# One star alone spares everything; in a list it would spare nothing.
_EVERYTHING = "*"


def sparing() -> dict[str, str]:
    """`NO_PROXY` and `no_proxy` as they are in this process, with loopback."""
    present = {name: os.environ.get(name, "").strip() for name in _NAMES}
    return {
        name: _with_loopback(present[name] or next(filter(None, present.values()), "")) for name in _NAMES
    }


def spare() -> None:
    """Sets them, for the libraries of this process and what it starts."""
    if sys.platform == "darwin" and not any(name.lower().endswith("_proxy") for name in os.environ):
        # Any such variable would switch the system's own settings off (urllib.request.getproxies).
        return
    for name, value in sparing().items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _with_loopback(value: str) -> str:
    if value == _EVERYTHING:
        return value
    hosts = [host for part in value.split(",") if (host := part.strip())]
    return ",".join([*hosts, *(host for host in _SPARED if host not in hosts)])
