"""An S3-compatible server that takes nothing unsigned: moto's storage behind a strict check of Signature Version 4.

The check is botocore's own canonical form over the bytes that came in. What moto's check leaves out is here too: the
payload's hash, which headers are signed, the time, region and service, the session token.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.formparser import parse_form_data
from werkzeug.serving import make_server
from werkzeug.wsgi import get_input_stream

ACCESS_KEY_ID = "AKIAVOGELHAUS7EXAMPLE"
SECRET_ACCESS_KEY = "Kanari/vogel+7kEy9Zx/geheimEXAMPLE+KEY40"
REGION = "eu-central-1"

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})"
)
# Less than what waits in sockets when nobody reads.
_BEFORE_THE_PAUSE = 16384
_WITHIN = timedelta(minutes=15)


@dataclass
class StrictS3:
    """`seen` are (method, raw target, headers) in the order of arrival. `skew` moves the server's clock.

    `pause`: called in the middle of a download, between two of its blocks.
    """

    url: str = ""
    access_key_id: str = ACCESS_KEY_ID
    secret_access_key: str = SECRET_ACCESS_KEY
    session_token: str | None = None
    skew: timedelta = timedelta()
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    """The fields of presigned POSTs."""
    pause: Callable[[], object] | None = None
    one_bucket: str | None = None
    """The key is good for this one only."""

    def fields(self, **more: Any) -> dict[str, Any]:
        """Of a connection to it."""
        return {
            "base_url": self.url,
            "allow_http": True,
            "region": REGION,
            "access_key_id": self.access_key_id,
            **more,
        }

    def secrets(self) -> dict[str, str]:
        found = {"secret_access_key": self.secret_access_key}
        return found if self.session_token is None else {**found, "session_token": self.session_token}

    def refusal(self, environ: dict[str, Any], body: bytes) -> str | None:
        """The code of Amazon's error, or `None`: the request is signed as it must be."""
        headers = _headers(environ)
        self.seen.append((environ["REQUEST_METHOD"], environ["REQUEST_URI"], headers))
        said = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
        if said is None:
            return "MissingSecurityHeader"
        key, day, region, service, names, signature = said.groups()
        if key != self.access_key_id:
            return "InvalidAccessKeyId"
        if headers.get("x-amz-security-token") != self.session_token:
            return "InvalidToken"
        if (region, service) != (REGION, "s3"):
            return "AuthorizationHeaderMalformed"
        at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(datetime.now(timezone.utc) + self.skew - at) > _WITHIN or at.strftime("%Y%m%d") != day:
            return "RequestTimeTooSkewed"
        signed = names.split(";")
        must = {"host"} | {name for name in headers if name.startswith("x-amz-")}
        if not must <= set(signed):
            return "UnsignedHeader"
        if signature != self._signature(environ, headers, signed):
            return "SignatureDoesNotMatch"
        payload = headers["x-amz-content-sha256"]
        if re.fullmatch("[0-9a-f]{64}", payload) and payload != hashlib.sha256(body).hexdigest():
            return "XAmzContentSHA256Mismatch"
        if self.one_bucket is not None and environ["PATH_INFO"].split("/")[1] != self.one_bucket:
            return "AccessDenied"
        return None

    def form_refusal(self, environ: dict[str, Any], body: bytes) -> str | None:
        """Of a presigned POST: what is signed is its policy, which must name each of its fields."""
        _, form, _ = parse_form_data(
            {**environ, "wsgi.input": io.BytesIO(body)}, stream_factory=lambda *_, **__: io.BytesIO()
        )
        fields = {name.lower(): value for name, value in form.items()}
        self.forms.append(fields)
        if "HTTP_AUTHORIZATION" in environ:
            return "InvalidRequest"
        scope = f"{fields['x-amz-date'][:8]}/{REGION}/s3/aws4_request"
        if fields["x-amz-credential"] != f"{self.access_key_id}/{scope}":
            return "InvalidAccessKeyId"
        signer: Any = S3SigV4Auth(Credentials(self.access_key_id, self.secret_access_key), "s3", REGION)
        request: Any = AWSRequest(method="POST", url=self.url)
        request.context["timestamp"] = fields["x-amz-date"]
        if fields["x-amz-signature"] != signer.signature(fields["policy"], request):
            return "SignatureDoesNotMatch"
        policy = json.loads(base64.b64decode(fields["policy"]))
        expires_at = datetime.fromisoformat(policy["expiration"].replace("Z", "+00:00"))
        if not timedelta() < expires_at - datetime.now(timezone.utc) <= _WITHIN:
            return "AccessDenied"
        said: dict[str, str] = {}
        for one in policy["conditions"]:
            said |= one if isinstance(one, dict) else {one[1].removeprefix("$"): ""}
        unnamed = fields.keys() - said.keys() - {"policy", "x-amz-signature", "awsaccesskeyid", "signature"}
        differing = [name for name, value in said.items() if value and fields.get(name) not in (None, value)]
        return "AccessDenied" if unnamed or differing else None

    def _signature(self, environ: dict[str, Any], headers: dict[str, str], signed: list[str]) -> str:
        keys = Credentials(self.access_key_id, self.secret_access_key, self.session_token)
        signer: Any = S3SigV4Auth(keys, "s3", REGION)
        request: Any = AWSRequest(
            method=environ["REQUEST_METHOD"],
            url=self.url + environ["REQUEST_URI"],
            headers={name: headers[name] for name in signed},
        )
        request.context["timestamp"] = headers["x-amz-date"]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        found: str = signer.signature(text, request)
        return found


class _Handler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log(self, *args: object, **kwargs: object) -> None:
        """Silent."""


@contextmanager
def strict_s3(*, tls: ssl.SSLContext | None = None) -> Iterator[StrictS3]:
    state = StrictS3()
    moto: Any = DomainDispatcherApplication(create_backend_app)

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        body = get_input_stream(environ).read()
        is_form = environ.get("CONTENT_TYPE", "").startswith("multipart/form-data")
        code = state.form_refusal(environ, body) if is_form else state.refusal(environ, body)
        if code is not None:
            said = "" if environ["REQUEST_METHOD"] == "HEAD" else f"<Error><Code>{code}</Code></Error>"
            start_response(
                "403 Forbidden", [("Content-Type", "application/xml"), ("Content-Length", str(len(said)))]
            )
            return [said.encode()]
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ.update({"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))})
        found: Iterable[bytes] = moto(environ, start_response)
        return found if state.pause is None else _slowly(found, state.pause)

    server = make_server(
        "127.0.0.1", 0, application, threaded=True, request_handler=_Handler, ssl_context=tls
    )
    state.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _slowly(answer: Iterable[bytes], pause: Callable[[], object]) -> Iterator[bytes]:
    for block in answer:
        yield block[:_BEFORE_THE_PAUSE]
        if len(block) > _BEFORE_THE_PAUSE:
            pause()
            yield block[_BEFORE_THE_PAUSE:]


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    """As they came, with names in small letters. PEP 3333: values are latin-1, signatures are over UTF-8."""
    found = {
        name[5:].replace("_", "-").lower(): value.encode("latin-1").decode("utf-8", "surrogateescape")
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            found[name.replace("_", "-").lower()] = environ[name]
    return found
