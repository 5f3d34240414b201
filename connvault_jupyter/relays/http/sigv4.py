"""Signs requests for AWS and what speaks like it (Signature Version 4), with botocore's own signer.

The client signs too, with keys that are none: its handle's token. What it signed is thrown away, and the request is
signed anew for the pinned host. The real keys never make a presigned URL: one would outlive the permission.

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

# What a client signs with, in headers and (presigned URLs) in the query.
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

# A signed form is no request: who saw one could send it again, as long as it is good.
_FORM_IS_GOOD = timedelta(minutes=15)
_EXPIRATION = "%Y-%m-%dT%H:%M:%S.000Z"

# RFC 3986 2.3; what stands there already encoded stays as it is, but for the case of its hexadecimal digits.
_TO_ENCODE = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~-]")
_TO_ENCODE_IN_PATH = re.compile(r"%[0-9A-Fa-f]{2}|[^A-Za-z0-9._~/-]")


class SigV4:
    """By the fields `access_key_id`, `region` and `service` and the secrets `secret_access_key` and, with keys for a
    while (STS), `session_token`.

    A presigned URL of the client is good on the loopback place only, for the requester of its handle, as long as the
    handle: its own expiry says nothing, because there is no secret behind it. It is sent on as a signed request.
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
        """Raises also: InvalidRequest: a body that is signed piece by piece, or has no hash where one is needed."""
        payload = self._payload(request)
        keys = self._keys(login)
        bare = replace(request, target=_canonical(request.target)).without(*_SIGNED_WITH)
        for name, value in self._sign(bare, keys, self._service, self._region, payload):
            bare = bare.with_header(name, value)
        return bare

    def apply_to_form(self, request: Request, form: PostForm, login: Login) -> tuple[Request, bytes]:
        """A presigned POST and how its body begins, signed with the form's own policy for the next minutes.

        `request` says the length of the client's body. Raises: as `apply`; BadBody: there is no policy to sign.
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
        # Not the key, which is never sent, nor the signature: that is good for this one request, for some minutes.
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
    """As botocore's `Credentials`, of which the signers read these three."""

    access_key: str
    secret_key: str = attribute(repr=False)
    token: str | None = attribute(repr=False)


_Sign = Callable[[Request, _Keys, str, str, str], list[tuple[str, str]]]
"""(request, keys, service, region, payload) -> the headers that the signature consists of."""


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
        """The payload's hash is the client's; the body itself is not here."""

        def payload(self, request: Any) -> str:
            return str(request.context["payload"])

    class S3(S3SigV4Auth):
        """S3 takes paths as they are, the others normalise and encode them once more."""

        def payload(self, request: Any) -> str:
            return str(request.context["payload"])

    def sign(request: Request, keys: _Keys, service: str, region: str, payload: str) -> list[tuple[str, str]]:
        signed: Any = AWSRequest(
            method=request.method, url=f"https://{request.header('Host') or ''}{request.target}"
        )
        for name, value in request.headers:
            # HTTPHeaders appends: a header that comes twice is signed as both.
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
    """A header's value is signed as UTF-8; what is read as Latin-1 must become the bytes on the wire again."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _sooner(expiration: str) -> str:
    """A policy's own end, if that can be read and comes before ours."""
    ours = datetime.now(timezone.utc) + _FORM_IS_GOOD
    for form in (_EXPIRATION, "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%fZ"):
        with contextlib.suppress(ValueError):
            if datetime.strptime(expiration, form).replace(tzinfo=timezone.utc) < ours:
                return expiration
    return ours.strftime(_EXPIRATION)


def _canonical(target: str) -> str:
    """The target as it is signed, without what a presigned URL is signed with.

    Clients differ in what they leave unencoded (`=`, `:`, a `+` for a space); services compare the encoded form, or
    what they were sent, so both are made the same.
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
