"""The REST API of a running Jupyter server, for the command line. It finds the server as `jupyter server list` does.

The server's broker has the vault open already, so no passphrase is asked for here and no key comes into this process.
The token is read from the server's own file or from the environment, never from the arguments, which everybody sees.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from typing import Any, NoReturn
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from jupyter_core.paths import jupyter_runtime_dir

from ..contracts.operations import REST_PREFIX
from ..errors import BrokerUnavailable, ConnvaultError, InvalidRequest, from_problem

# Longer than an operation may wait in the server.
_TIMEOUT_S = 160

# Jupyter sets it in terminals and kernels.
_OWN_SERVER = "JUPYTER_SERVER_URL"
_TOKEN = "JUPYTER_TOKEN"  # noqa: S105 -- the variable's name

# An answer of the largest export piece has a few MB.
_MAX_ANSWER_BYTES = 16 << 20

# What a server says of itself has a few hundred bytes.
_MAX_INFO_BYTES = 64 << 10

_OTHER_VERSION = "This Jupyter server has no connvault, or another version of it."


class RunningServer:
    """Sends requests to one server; a Problem becomes its typed error."""

    def __init__(self, *, url: str, token: str) -> None:
        self._base = url.rstrip("/") + REST_PREFIX
        self._token = token
        # The token must not go to a proxy, nor to where an answer redirects.
        self._opener = build_opener(ProxyHandler({}), _NoRedirect)

    def get(self, path: str, **query: str | int | None) -> dict[str, Any]:
        """Arguments that are `None` are left out. Raises: ConnvaultError."""
        asked = {name: value for name, value in query.items() if value is not None}
        return self._call(Request(f"{self._base}{path}?{urlencode(asked)}"))  # noqa: S310 -- see `found`

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Raises: ConnvaultError."""
        return self._call(
            Request(  # noqa: S310 -- see `found`
                f"{self._base}{path}",
                data=json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                method="POST",
            )
        )

    def _call(self, request: Request) -> dict[str, Any]:
        request.add_header("Authorization", f"token {self._token}")
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                found = json.loads(answer.read(_MAX_ANSWER_BYTES), object_hook=_Answer)
        except HTTPError as exc:
            raise _error(exc) from None
        except (URLError, OSError, HTTPException):
            raise BrokerUnavailable(
                "The Jupyter server does not answer. Is it running, and its certificate known?"
            ) from None
        except (ValueError, RecursionError):
            _foreign()
        return found if isinstance(found, dict) else _foreign()


def found(url: str | None = None) -> RunningServer:
    """The server at this address; without one, the one in whose terminal this runs, or the only one that runs.

    Raises: BrokerUnavailable: there is none, or several.
        InvalidRequest: it is not an address of a server.
    """
    running = {one["url"].rstrip("/"): one for one in _running()}
    wanted = (url or os.environ.get(_OWN_SERVER, "")).rstrip("/")
    if url is not None and not _is_address(url):
        raise InvalidRequest("--server takes an address like http://localhost:8888/.")
    if wanted in running:
        return _server(running[wanted])
    if url is not None:
        return RunningServer(url=url, token=os.environ.get(_TOKEN, ""))
    if not running:
        raise BrokerUnavailable(
            "No Jupyter server of yours is running here. Start one with `jupyter connvault lab`, or name one with "
            "--server and put its token into JUPYTER_TOKEN."
        )
    if len(running) > 1:
        raise BrokerUnavailable(
            f"Several Jupyter servers are running. Choose one with --server: {', '.join(sorted(running))}"
        )
    return _server(next(iter(running.values())))


def _server(info: Mapping[str, Any]) -> RunningServer:
    return RunningServer(url=info["url"], token=info.get("token") or os.environ.get(_TOKEN, ""))


def _running() -> list[dict[str, Any]]:
    """What servers of this user say of themselves, without those that have ended and those on a Unix socket."""
    servers = []
    for file in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        try:
            # Not blocking: it may be a pipe.
            with open(os.open(file, os.O_RDONLY | os.O_NONBLOCK), "rb") as opened:
                info = json.loads(opened.read(_MAX_INFO_BYTES))
            url, pid = info["url"], info["pid"]
            os.kill(pid, 0)
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        if isinstance(url, str) and _is_address(url):
            servers.append(info)
    return servers


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and parts.port != 0 and not re.search(r"[^!-~]", url)
    except ValueError:
        return False


class _Answer(dict[str, Any]):
    """An object of an answer. Where a name is missing, something else has answered."""

    def __missing__(self, name: str) -> NoReturn:
        raise BrokerUnavailable(_OTHER_VERSION)


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, *_given: Any) -> None:
        return None


def _error(answer: HTTPError) -> ConnvaultError:
    with answer:
        try:
            problem = json.loads(answer.read(_MAX_ANSWER_BYTES))
            if isinstance(problem, dict) and "code" in problem:
                return from_problem(problem)
        except (OSError, ValueError, HTTPException, RecursionError):
            pass
    if answer.code in (401, 403):
        return BrokerUnavailable(
            "The Jupyter server refused the token. Put the right one into JUPYTER_TOKEN."
        )
    return BrokerUnavailable(_OTHER_VERSION)


def _foreign() -> NoReturn:
    raise BrokerUnavailable("What answers at this address is not connvault.")
