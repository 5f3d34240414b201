"""Signs requests for AWS and compatible services (Signature Version 4), with botocore's own signer.

The client signs too, with its handle's token instead of keys. Its signature is discarded, and the request is signed
again for the connection's host. The real keys never create a presigned URL, which would outlive the permission.

botocore is imported when the first signature is made (8 MB, 0.1 s), so that no other relay pays for it.
"""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from dataclasses import field as attribute
from datetime import datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import unquote

from ...errors import BrokerUnavailable, InvalidRequest, SecretInvalid
from ..downstream import Login
from .authorization import AUTHORIZATION, secret_of, visible
from .post_form import PostForm
from .request import Request

# The client's signing fields, in headers and (presigned URLs) in the query.
_SIGNED_WITH = ("Authorization", "X-Amz-Date", "Date", "X-Amz-Security-Token")
_CONTENT_SHA256 = "X-Amz-Content-SHA256"
_PRESIGNED = frozenset(
    (
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
        "x-amz-content-sha256",
        # Signature Version 2.
        "awsaccesskeyid",
        "expires",
        "signature",
    )
)

_HASH = re.compile(r"[0-9a-f]{64}")
_UNSIGNED = "UNSIGNED-PAYLOAD"
_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# Unlike a request, a signed form could be sent again by whoever saw it, while it is valid.
_FORM_IS_GOOD = timedelta(minutes=15)
_EXPIRATION = "%Y-%m-%dT%H:%M:%S.000Z"

# RFC 3986 2.3; existing encodings stay, except for the case of their hexadecimal digits.
_TO_ENCODE = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~-]")
_TO_ENCODE_IN_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~/-]")


class SigV4:
    """By the fields `access_key_id`, `region` and `service` and the secrets `secret_access_key` and, with temporary
    keys (STS), `session_token`.

    A presigned URL of the client is only valid at the loopback endpoint, for the handle's requester, as long as the
    handle: its own expiry does not matter, because it was signed without a secret. It is forwarded as a signed
    request.
    """

    steady: ClassVar[bool] = False
    places = AUTHORIZATION

    def __init__(self, fields: Mapping[str, Any]) -> None:
        """Raises: BrokerUnavailable: botocore is not installed."""
        self._access_key_id = str(fields.get("access_key_id") or "")
        self._service = str(fields.get("service") or "s3")
        self._region = str(fields.get("region") or "us-east-1")
        self._sign = _signer()

    def apply(self, request: Request, login: Login) -> Request:
        """Also raises: InvalidRequest: the body is signed in chunks, or has no hash where one is required."""
        payload = self._payload(request)
        keys = self._keys(login)
        bare = replace(request, target=_canonical(request.target)).without(*_SIGNED_WITH)
        for name, value in self._sign(bare, keys, self._service, self._region, payload):
            bare = bare.with_header(name, value)
        return bare

    def apply_to_form(self, request: Request, form: PostForm, login: Login) -> tuple[Request, bytes]:
        """A presigned POST and the start of its body, signed with the form's own policy for the next minutes.

        `request` has the length of the client's body. Raises: as `apply`; BadBody: there is no policy to sign.
        """
        policy = form.policy
        policy["expiration"] = _sooner(str(policy.get("expiration")))
        start = form.signed(_sign_policy(policy, self._keys(login), self._service, self._region))
        length = int(request.header("Content-Length") or 0) - form.length + len(start)
        bare = request.without(*_SIGNED_WITH, "Expect")
        return bare.with_header("Content-Length", str(length)), start

    def _keys(self, login: Login) -> _Keys:
        keys = _Keys(
            visible(self._access_key_id),
            visible(secret_of(login, "secret_access_key")),
            visible(login.secrets.get("session_token") or "") or None,
        )
        if not keys.access_key:
            raise SecretInvalid("The connection has no access key ID. Edit it in the Connections panel.")
        return keys

    def credentials(self, login: Login) -> set[str]:
        # Neither the key, which is never sent, nor the signature, which is only valid for this request, for some
        # minutes.
        token = login.secrets.get("session_token")
        return {token} if token else set()

    def refused(self, _login: Login) -> bool:
        return False

    def _payload(self, request: Request) -> str:
        said = request.header(_CONTENT_SHA256)
        if said in (_UNSIGNED, _UNSIGNED_TRAILER) or (said is not None and _HASH.fullmatch(said)):
            return said
        if said is not None:
            raise InvalidRequest(
                "This client signs its upload in chunks, which the broker can't do for it. Configure it to "
                "send one hash of the whole body (x-amz-content-sha256), or an unsigned payload."
            )
        if request.header("Transfer-Encoding") is None and request.header("Content-Length") in (None, "0"):
            return _EMPTY
        if self._service != "s3":
            raise InvalidRequest("Send the SHA-256 of the body in the header x-amz-content-sha256.")
        return _UNSIGNED


@dataclass(frozen=True)
class _Keys:
    """Stands for botocore's `Credentials`, of which the signers read these three."""

    access_key: str
    secret_key: str = attribute(repr=False)
    token: str | None = attribute(repr=False)


_Sign = Callable[[Request, _Keys, str, str, str], list[tuple[str, str]]]
"""(request, keys, service, region, payload) -> the signature's headers."""


@functools.cache
def _signer() -> _Sign:
    try:
        from botocore.auth import S3SigV4Auth, SigV4Auth
        from botocore.awsrequest import AWSRequest
    except ImportError:
        raise BrokerUnavailable(
            "Signing for AWS needs botocore in the Jupyter server's environment: "
            'pip install "connvault-jupyter[s3]"'
        ) from None

    class Other(SigV4Auth):
        """The payload's hash comes from the client; the body itself is not available here."""

        def payload(self, request: Any) -> str:
            return str(request.context["payload"])

    class S3(S3SigV4Auth):
        """S3 uses paths unchanged; the others normalise and encode them once more."""

        def payload(self, request: Any) -> str:
            return str(request.context["payload"])

    def sign(request: Request, keys: _Keys, service: str, region: str, payload: str) -> list[tuple[str, str]]:
        signed: Any = AWSRequest(
            method=request.method, url=f"https://{request.header('Host') or ''}{request.target}"
        )
        for name, value in request.headers:
            # HTTPHeaders appends: a repeated header is signed with both values.
            signed.headers[name] = _text(value)
        signed.context["payload"] = payload
        kind: Any = S3 if service == "s3" else Other
        kind(keys, service, region).add_auth(signed)
        return [
            (name, signed.headers[name])
            for name in (*_SIGNED_WITH, _CONTENT_SHA256)
            if name in signed.headers
        ]

    return sign


def _sign_policy(policy: dict[str, Any], keys: _Keys, service: str, region: str) -> dict[str, str]:
    """The fields by which a form is signed."""
    from botocore.auth import S3SigV4PostAuth
    from botocore.awsrequest import AWSRequest

    signed: Any = AWSRequest(method="POST", url="https://")
    signed.context["s3-presign-post-policy"] = policy
    kind: Any = S3SigV4PostAuth
    kind(keys, service, region).add_auth(signed)
    made: dict[str, str] = signed.context["s3-presign-post-fields"]
    return made


def _text(value: str) -> str:
    """A header's value is signed as UTF-8; one read as Latin-1 must become the bytes on the wire again."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _sooner(expiration: str) -> str:
    """A policy's own expiry, if it is valid and earlier than ours."""
    ours = datetime.now(timezone.utc) + _FORM_IS_GOOD
    for form in (_EXPIRATION, "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"):
        with contextlib.suppress(ValueError):
            if datetime.strptime(expiration, form).replace(tzinfo=timezone.utc) < ours:
                return expiration
    return ours.strftime(_EXPIRATION)


def _canonical(target: str) -> str:
    """The target to sign, without a presigned URL's signing fields.

    Clients differ in what they leave unencoded (`=`, `:`, a `+` for a space). Services compare either the encoded form
    or what they received, so both are made equal.
    """
    path, mark, query = target.partition("?")
    path = _TO_ENCODE_IN_PATH.sub(_encoded, path)
    if not mark:
        return path
    kept = []
    for pair in query.split("&"):
        name, equals, value = pair.replace("+", "%20").partition("=")
        if pair and unquote(name).lower() not in _PRESIGNED:
            kept.append(_TO_ENCODE.sub(_encoded, name) + equals + _TO_ENCODE.sub(_encoded, value))
    return f"{path}?{'&'.join(kept)}" if kept else path


def _encoded(found: re.Match[str]) -> str:
    part = found[0]
    if len(part) == 3:
        return part.upper()
    return "".join(f"%{byte:02X}" for byte in part.encode("latin-1"))
