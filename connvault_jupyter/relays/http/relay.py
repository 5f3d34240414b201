"""HTTP: a reverse proxy to one base URL that logs in for its clients. It combines the other modules."""

from __future__ import annotations

import threading

from ...errors import UpstreamAuthFailed, UpstreamRefused
from ..downstream import Downstream, Login
from ..limits import Limits
from .authorization import authorization_of
from .client_connection import ClientConnection, Target
from .connection_check import answer_of
from .cookie_names import CookieNames
from .heads import BadHead
from .origin import origin_of
from .pool import Pool

_NOTHING_THERE = frozenset({404, 405, 410, 501})
_LOGIN = frozenset({401, 403, 407})
# Amazon S3's error codes for a refusal although the signature was right.
_KEY_TAKEN = b"<Code>AccessDenied</Code>"
_TROUBLE = frozenset({408, 425, 429})


class Relay:
    """Serves the handles of one connection under one grant. Connections to the upstream are kept warm for it."""

    def __init__(self, *, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._made: tuple[tuple[int, str], Target] | None = None

    def serve(self, downstream: Downstream) -> None:
        """Serves until the client has no more requests, or was cut."""
        ClientConnection(downstream, limits=self._limits, target_of=self._target).run()

    def log_in(self, login: Login) -> str:
        """Requests the base URL with the credential and interprets the status: returns `HTTP 200`, or an empty text if
        inconclusive.

        Raises: UpstreamError and its kinds, SecretMissing, SecretInvalid.
        """
        target = self._target(login)
        try:
            status, words = answer_of(target, login, limits=self._limits)
        except BadHead:
            raise UpstreamRefused(
                "The server did not answer with HTTP. Check host, port and scheme."
            ) from None
        if status == 403 and login.fields.get("auth") == "sigv4" and _KEY_TAKEN in words:
            # What the key may do is another question: most are valid for one bucket, but not for the list of all.
            return ""
        _judge(status, open_service=(login.fields.get("auth") or "none") == "none")
        return f"HTTP {status}"

    def forget(self) -> None:
        """See `relays.downstream.Relay`."""
        self.close()

    def close(self) -> None:
        """Closes idle connections."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made[1].pool.close()

    def _target(self, login: Login) -> Target:
        """The same object until a field or a secret changes, so that an access token is kept."""
        key = login.revision, login.rotation
        with self._lock:
            made = self._made
            if made is None or made[0] != key:
                origin = origin_of(login.fields)
                authorization = authorization_of(login.fields)
                same = made is not None and made[1].pool.origin == origin
                if made is not None and not same:
                    made[1].pool.close()
                pool = made[1].pool if made is not None and same else Pool(origin=origin, limits=self._limits)
                cookies = CookieNames(str(login.fields.get("credential_cookies") or ""))
                made = self._made = key, Target(pool, authorization, cookies)
            return made[1]


def _judge(status: int, *, open_service: bool) -> None:
    """Raises: UpstreamAuthFailed, UpstreamRefused: it was not a success."""
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise UpstreamRefused(
            "The service answers with a redirect, which connvault never follows. Enter the address that it "
            "redirects to."
        )
    if status in _LOGIN:
        if open_service:
            raise UpstreamAuthFailed("The service requires a login. Choose how to log in.")
        raise UpstreamAuthFailed
    if status in _NOTHING_THERE:
        raise UpstreamRefused(
            "The service answers, but has nothing at the base URL itself, so the login could not be tested."
        )
    if status in _TROUBLE or status >= 500:
        raise UpstreamRefused("The service reports that it is busy or failing. Try again later.")
    raise UpstreamRefused
