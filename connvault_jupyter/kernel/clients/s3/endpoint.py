"""Lets botocore's sessions (boto3's, aiobotocore's) talk to a handle's loopback endpoint, and follow it when it moves.

They sign with the handle's token as both keys; the relay recognises it and signs again. The machine's AWS
configuration (files, profiles, variables, metadata service) is ignored. botocore is not imported here.
"""

from __future__ import annotations

import functools
import os
import re
import threading
from typing import Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from ....errors import HandleInvalid, UpstreamAuthFailed, UpstreamRefused
from ...client_arguments import check_arguments
from ...handle_ref import HandleRef
from ...relay_errors import ERROR_HEADER, answered
from ...responses import RelayEndpoint

_KEY_ID = re.compile(r"Credential=[^/,\s]*/")

# Errors of a client when nobody listens any more. By name: aiobotocore has the same ones.
_GONE = frozenset(
    {"ConnectionClosedError", "ConnectionError", "EndpointConnectionError", "ProxyConnectionError"}
)

_CODE = re.compile(rb"<Code>\s*([A-Za-z0-9.]{1,60})\s*</Code>")

# Amazon S3's error codes for a wrong, expired or unknown key.
_WRONG_KEY = frozenset(
    (
        "AuthFailure",
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
        "UnrecognizedClientException",
    )
)
_WRONG_TIME = frozenset(("RequestTimeTooSkewed", "RequestExpired"))

# Over loopback the payload's SHA-256 is signed anyway, and some S3-compatible servers don't support newer checksums.
_HOW: dict[str, Any] = {
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}

# Where, by which route and as whom: from the connection. Last, so that nothing else takes precedence.
_WHERE: dict[str, Any] = {
    "proxies": {},
    "signature_version": "s3v4",
    "use_dualstack_endpoint": False,
    "use_fips_endpoint": False,
}
# How to send requests.
_CONFIG = frozenset(
    (
        *_HOW,
        "connect_timeout",
        "disable_request_compression",
        "max_pool_connections",
        "parameter_validation",
        "read_timeout",
        "request_min_compression_size_bytes",
        "retries",
        "s3",
        "tcp_keepalive",
        "user_agent",
        "user_agent_appid",
        "user_agent_extra",
    )
)

# botocore.configprovider: (name in a file, variable, default, conversion), without files and variables.
_NO_FILES: dict[str, tuple[None, None, str | None, None]] = {
    "profile": (None, None, None, None),
    "config_file": (None, None, os.devnull, None),
    "credentials_file": (None, None, os.devnull, None),
    "ca_bundle": (None, None, None, None),
}


@functools.cache
def _portable(kind: Any) -> Any:
    """A session class whose instances can be pickled for a worker; there they read no files either."""

    class Session(kind):  # type: ignore[misc]
        def __reduce_ex__(self, protocol: object) -> Any:
            return session_without_files, (kind,)

    return Session


def session_without_files(kind: Any) -> Any:
    """A session of this class that ignores the machine's AWS configuration."""
    return kind(session_vars=_NO_FILES)


class S3Endpoint:
    """Where a handle listens for clients that sign. `address` and `keys` are for the clients."""

    def __init__(self, *, handle_ref: HandleRef) -> None:
        """Raises: HandleInvalid, VaultLocked, BrokerUnavailable, ...: the broker refuses."""
        self._handle_ref = handle_ref
        self._lock = threading.Lock()
        self._opened, self._port = handle_ref.open_loopback()

    @property
    def opened(self) -> RelayEndpoint:
        return self._opened

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def token(self) -> str:
        """The handle's own, not a key of the service. It is valid at the endpoint, for the handle's processes."""
        return str(self._opened.token)

    def renew(self) -> bool:
        """Reopens it if it is gone; returns whether it has changed. Raises: as the constructor."""
        with self._lock:
            before = (self._port, self._opened.token)
            self._opened, self._port = self._handle_ref.open_loopback()
            return (self._port, self._opened.token) != before

    def give_out(self) -> None:
        """See `HandleRef.give_out`."""
        self._handle_ref.give_out()

    def session(self, kind: Any) -> Any:
        """A botocore session of this class, bound to the endpoint. An unpickled one is not: its clients keep the
        address that they were given."""
        made = _portable(kind)(session_vars=_NO_FILES)
        events = made.get_component("event_emitter")
        events.register("before-send.s3", self._before_send)
        # First, because botocore's own handler would wait before retrying, or give up.
        events.register_first("needs-retry.s3", self._needs_retry)
        events.register("before-parse.s3", self._before_parse)
        events.register("before-parameter-build.s3", self._before_parameters)
        events.register("after-call.s3", self._after_call)
        return made

    def config(self, given: dict[str, Any]) -> dict[str, Any]:
        """Arguments of botocore's `Config`. Raises: TypeError: one would set the server or the login."""
        check_arguments(given, _CONFIG)
        # As botocore does with TLS; on loopback it would hash each body first, and could not send one that can be read
        # only once. Without TLS to the service, the hash protects the body on its way.
        encrypted = str(self._opened.fields.get("base_url") or "").startswith("https:")
        how = {"payload_signing_enabled": False} if encrypted else {}
        # With the bucket in the host name, it would not be the connection's host.
        s3 = {**how, **given.get("s3", {}), "addressing_style": "path"}
        return {**_HOW, **given, **_WHERE, "s3": s3}

    def region(self) -> str:
        return str(self._opened.fields.get("region") or "us-east-1")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a client of a handle can't be pickled: it works in this kernel only")

    def _before_send(self, request: Any, **_kwargs: object) -> None:
        """Every request goes to the present endpoint: a client is created once, and may outlive a relay."""
        self._handle_ref.refuse_if_released()
        parts = urlsplit(request.url)
        netloc = f"127.0.0.1:{self._port}"
        if parts.netloc == netloc:
            return
        request.url = urlunsplit(parts._replace(netloc=netloc))
        signed = request.headers.get("Authorization")
        if signed is not None:
            text = signed.decode() if isinstance(signed, bytes) else str(signed)
            # The signature is not checked, so it need not match any more.
            request.headers["Authorization"] = _KEY_ID.sub(f"Credential={self.token}/", text)

    def _before_parameters(self, context: Any, **_kwargs: object) -> None:
        """A presigned URL may be given to anybody."""
        if context.get("is_presign_request"):
            self._handle_ref.give_out()

    def _after_call(self, parsed: Any, **_kwargs: object) -> None:
        """A body may be read after its client is gone."""
        body = parsed.get("Body")
        if body is not None:
            self._handle_ref.opens(body)

    def _needs_retry(
        self, response: Any = None, caught_exception: Any = None, **_kwargs: object
    ) -> int | None:
        """Nobody listens: the relay was ended or has crashed. `0`: retry at once; `None`: leave it to botocore.

        Raises: HandleInvalid, ...: the broker refuses to reopen the endpoint.
        """
        if response is not None and response[0].headers.get(ERROR_HEADER):
            # See `_before_parse`: the endpoint has changed.
            return 0
        if type(caught_exception).__name__ not in _GONE:
            return None
        return 0 if self.renew() else None

    def _before_parse(self, response_dict: Any, **_kwargs: object) -> None:
        """Raises: the relay's own error; UpstreamAuthFailed, UpstreamRefused: the service refused the key."""
        headers, status = response_dict["headers"], response_dict["status_code"]
        if status < 400:
            return
        body = response_dict["body"]
        content = body if isinstance(body, bytes) else b""
        if headers.get(ERROR_HEADER):
            if headers[ERROR_HEADER] == HandleInvalid.code and self.renew():
                # This was the old port: after an unlock, the handle is valid again at another one.
                return
            raise answered(headers, content, connection=self._handle_ref.connection)
        found = _CODE.search(content[:65536])
        code = found[1].decode("ascii") if found else ""
        if code in _WRONG_KEY:
            raise UpstreamAuthFailed(connection=self._handle_ref.connection)
        if code in _WRONG_TIME:
            raise UpstreamRefused(
                "The service rejected the signature's time. Set the clock of the machine that runs Jupyter.",
                reason="clock_skew",
                connection=self._handle_ref.connection,
            )
