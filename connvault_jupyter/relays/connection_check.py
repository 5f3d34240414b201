"""The port `ConnectionCheck`: a connection test is the login of a relay, in a worker that ends with it.

Test and use can't disagree, as they are the same code. The result is a code, our own text and a version number; a
server's own text stays in the worker.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..contracts.connections import TestOutcome
from ..contracts.providers import ProviderDefinition
from ..errors import ConnvaultError, UpstreamError, UpstreamTimeout
from ..services.ports import Clock

# A distant database behind a VPN logs in within three seconds; nobody watches a button for longer than this.
TIMEOUT_S = 10.0

CONNECTED = "Connected."

# Begins with our own text; the server only supplies the numbers.
_SERVER = re.compile(r"[A-Za-z]{1,20} [0-9]{1,4}(\.[0-9]{1,4}){0,3}\Z")

TryLogin = Callable[[str, Mapping[str, Any], float], str]
"""(protocol, login, timeout_s) -> the server's product and version. Raises: ConnvaultError."""


class RelayConnectionCheck:
    """Logs in once at the given destination. An ordinary failure is an outcome; it never raises."""

    def __init__(self, *, try_login: TryLogin, clock: Clock, timeout_s: float = TIMEOUT_S) -> None:
        self._try_login = try_login
        self._clock = clock
        self._timeout_s = timeout_s

    def __call__(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> TestOutcome:
        at = self._clock()
        started = time.monotonic()
        server, error = "", None
        try:
            server = self._server(provider, fields, secrets)
        except ConnvaultError as exc:
            error = exc
        elapsed_ms = int((time.monotonic() - started) * 1000)
        if error is not None and elapsed_ms >= self._timeout_s * 1000:
            error = UpstreamTimeout()
        return TestOutcome(
            ok=error is None,
            at=at,
            code=None if error is None else error.code,
            detail=CONNECTED if error is None else error.message,
            elapsed_ms=elapsed_ms,
            server=server if _SERVER.match(server) else "",
        )

    def _server(
        self, provider: ProviderDefinition, fields: Mapping[str, Any], secrets: Mapping[str, str]
    ) -> str:
        relay = next((one for one in provider.deliveries if one.kind == "relay"), None)
        if relay is None or relay.protocol is None:
            raise UpstreamError("Connections of this kind can't be tested.")
        login = {
            "fields": {**fields, **relay.recipe},
            "secrets": dict(secrets),
            "revision": 0,
            "rotation": "",
        }
        return self._try_login(relay.protocol, login, self._timeout_s)
