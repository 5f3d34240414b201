"""OAuth2 client credentials: requests carry an access token, which is fetched when needed and then kept.

The token is kept in this worker's memory until shortly before it expires, at most as long as this object, which is
replaced when a field or a secret changes and ends with the worker. The client secret is used for a fetch and never
kept.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ...errors import ConnvaultError, UpstreamAuthFailed, UpstreamError, UpstreamRefused, UpstreamTimeout
from ..downstream import Login
from ..limits import LIMITS, Limits
from .authorization import AUTHORIZATION, secret_of
from .request import Request
from .token_endpoint import fetch

# A fraction of its lifetime, so that a token does not expire in transit; at most a minute, as clocks differ.
_SPARE_PART = 0.1
_MAX_SPARE_S = 60.0

# If a token is refused sooner after its fetch than this, the next one would be refused too.
_FRESH_S = 1.0

# After a refusal, the endpoint is not asked again at once: servers lock out clients that keep trying.
_PAUSE_S = 5.0


@dataclass(frozen=True)
class _Kept:
    token: str = field(repr=False)
    since: float
    until: float


class ClientCredentials:
    """By the fields of `token_endpoint.fetch` and the secret `client_secret`. `clock` in seconds, any origin."""

    steady: ClassVar[bool] = False
    places = AUTHORIZATION

    def __init__(
        self,
        fields: Mapping[str, Any],
        *,
        limits: Limits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fields = dict(fields)
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: _Kept | None = None
        self._flight: Future[_Kept | ConnvaultError] | None = None
        self._failed: tuple[float, ConnvaultError] | None = None
        # The token that this thread's request used.
        self._mine = threading.local()

    def apply(self, request: Request, login: Login) -> Request:
        """Raises: SecretMissing; what `token_endpoint.fetch` raises."""
        self._mine.kept = kept = self._current(secret_of(login, "client_secret"))
        return request.with_header("Authorization", f"Bearer {kept.token}")

    def credentials(self, _login: Login) -> set[str]:
        # Not the client secret: it is sent to the token endpoint, whose answers are not shown to code.
        kept: _Kept | None = getattr(self._mine, "kept", None)
        return {kept.token} if kept is not None else set()

    def refused(self, _login: Login) -> bool:
        kept: _Kept | None = getattr(self._mine, "kept", None)
        if kept is None:
            return False
        with self._lock:
            if self._kept is kept:
                if self._clock() - kept.since < _FRESH_S:
                    return False
                self._kept = None
        # Otherwise another thread has already handled the same refusal.
        return True

    def _current(self, secret: str) -> _Kept:
        """The kept token, or a new one: one fetch at a time, for which other threads wait."""
        with self._lock:
            now = self._clock()
            if self._kept is not None and now < self._kept.until:
                return self._kept
            if self._failed is not None and now < self._failed[0]:
                raise _again(self._failed[1])
            flight = self._flight
            if mine := flight is None:
                flight = self._flight = Future()
        assert flight is not None  # noqa: S101 -- for the type checker
        if mine:
            self._fetch(flight, secret)
        try:
            outcome = flight.result(self._limits.connect_s + self._limits.login_s)
        except FutureTimeout:
            raise UpstreamTimeout from None
        if isinstance(outcome, ConnvaultError):
            raise _again(outcome)
        return outcome

    def _fetch(self, flight: Future[_Kept | ConnvaultError], secret: str) -> None:
        kept: _Kept | None = None
        outcome: _Kept | ConnvaultError = UpstreamError()
        try:
            since = self._clock()
            found = fetch(self._fields, secret, limits=self._limits)
            spare_s = min(_MAX_SPARE_S, found.lifetime_s * _SPARE_PART)
            outcome = kept = _Kept(found.value, self._clock(), since + found.lifetime_s - spare_s)
        except ConnvaultError as exc:
            outcome = exc
        finally:
            with self._lock:
                self._kept = kept
                self._flight = None
                self._failed = None
                if isinstance(outcome, UpstreamAuthFailed | UpstreamRefused):
                    self._failed = (self._clock() + _PAUSE_S, outcome)
            flight.set_result(outcome)


def _again(error: ConnvaultError) -> ConnvaultError:
    """A copy of the error for another thread: a shared object would collect the tracebacks of all."""
    return type(error)(error.message, **error.details)
