"""A trial request at a web service, with the standard library. Runs in the child of a connection test only.

One GET of the base URL. The credential goes to its origin alone: no redirect is followed, no proxy asked, no body read.
"""

from __future__ import annotations

import base64
import http.client
import os
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from .login_result import (
    AUTH_FAILED,
    REFUSED,
    TIMEOUT,
    TLS_FAILED,
    UNREACHABLE,
    UNTRIED,
    LoginResult,
)

_NOTHING_THERE = frozenset({404, 405, 410, 501})
_LOGIN = frozenset({401, 403, 407})
_TROUBLE = frozenset({408, 425, 429})

# RFC 3986 3.3: what may stand in a path, and % for what is encoded already.
_PATH = "/%:@!$&'()*+,;=~-._"


def log_in(fields: Mapping[str, Any], secrets: Mapping[str, str], timeout_s: float) -> LoginResult:
    """Asks for the base URL with the credential, and looks at the status of the answer."""
    address = urlsplit(str(fields["base_url"]))
    authorization = _authorization(fields, secrets)
    if authorization is None:
        return LoginResult(UNTRIED, "unusable_secret")
    connection = _connection(address, timeout_s)
    try:
        connection.request(
            "GET",
            quote(address.path or "/", safe=_PATH),
            headers={"Accept": "*/*", "User-Agent": "connvault-jupyter connection test", **authorization},
        )
        return _judged(connection.getresponse().status, str(fields.get("auth", "none")))
    except ssl.SSLError:
        return LoginResult(TLS_FAILED)
    except TimeoutError:
        return LoginResult(TIMEOUT)
    except http.client.HTTPException:
        return LoginResult(REFUSED, "not_http")
    except (OSError, UnicodeError):
        return LoginResult(UNREACHABLE)
    finally:
        connection.close()


def _connection(address: SplitResult, timeout_s: float) -> http.client.HTTPConnection:
    host = address.hostname or ""
    if address.scheme == "https":
        # As requests does in a notebook, so that test and use agree.
        context = ssl.create_default_context(cafile=os.environ.get("REQUESTS_CA_BUNDLE") or None)
        return http.client.HTTPSConnection(host, address.port, timeout=timeout_s, context=context)
    return http.client.HTTPConnection(host, address.port, timeout=timeout_s)


def _authorization(fields: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, str] | None:
    """The header (RFC 6750 2.1, RFC 7617 2); `None` if the secret can't stand in one."""
    kind = fields.get("auth", "none")
    if kind == "bearer":
        token = secrets.get("token", "")
        # http.client would quote a token with a line break in its error.
        usable = token.isascii() and token.isprintable() and token
        return {"Authorization": f"Bearer {token}"} if usable else None
    if kind == "basic":
        pair = f"{fields.get('username', '')}:{secrets.get('password', '')}".encode()
        return {"Authorization": f"Basic {base64.b64encode(pair).decode('ascii')}"}
    return {}


def _judged(status: int, auth: str) -> LoginResult:
    if 200 <= status < 300:
        return LoginResult(server=f"HTTP {status}")
    if 300 <= status < 400:
        return LoginResult(REFUSED, "redirected")
    if status in _LOGIN:
        return LoginResult(AUTH_FAILED, "login_needed" if auth == "none" else "")
    if status in _NOTHING_THERE:
        return LoginResult(REFUSED, "nothing_there")
    if status in _TROUBLE or status >= 500:
        return LoginResult(REFUSED, "trouble")
    return LoginResult(REFUSED)
