"""Signature Version 4: AWS's published examples, the bytes of botocore's own signer, and what of the client counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any
from urllib.parse import quote, urlencode

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from connvault_jupyter.errors import InvalidRequest, SecretInvalid, SecretMissing
from connvault_jupyter.relays.downstream import Login
from connvault_jupyter.relays.http.authorization import authorization_of
from connvault_jupyter.relays.http.request import Request
from connvault_jupyter.relays.http.sigv4 import SigV4, _sooner

HOST = "127.0.0.1:9000"
KEY_ID, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
TOKEN = "h4ndle-t0ken_" + "x" * 30
AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=timezone.utc)


@dataclass(frozen=True)
class Example:
    """One of AWS's: what is signed, and the signature that comes of it."""

    target: str
    headers: list[tuple[str, str]]
    signed: str
    signature: str
    method: str = "GET"
    fields: dict[str, str] = field(default_factory=dict)
    secret: str = SECRET
    at: datetime = datetime(2015, 8, 30, 12, 36, tzinfo=timezone.utc)


# "Authenticating Requests: Using the Authorization Header", Amazon S3 API Reference.
_S3: dict[str, Any] = {
    "fields": {"access_key_id": "AKIAIOSFODNN7EXAMPLE", "service": "s3"},
    "secret": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "at": datetime(2013, 5, 24, tzinfo=timezone.utc),
}
_S3_HOST = ("Host", "examplebucket.s3.amazonaws.com")
# The Signature Version 4 test suite: get-vanilla, get-vanilla-query-order-key-case, post-vanilla.
_SUITE: dict[str, Any] = {"fields": {"access_key_id": KEY_ID, "service": "service"}}
_SUITE_HOST = ("Host", "example.amazonaws.com")

EXAMPLES = {
    "s3 get object": Example(
        "/test.txt",
        [_S3_HOST, ("Range", "bytes=0-9")],
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        **_S3,
    ),
    "s3 get bucket lifecycle": Example(
        "/?lifecycle",
        [_S3_HOST],
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        **_S3,
    ),
    "s3 list objects": Example(
        "/?max-keys=2&prefix=J",
        [_S3_HOST],
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        **_S3,
    ),
    "get-vanilla": Example(
        "/",
        [_SUITE_HOST],
        "host;x-amz-date",
        "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        **_SUITE,
    ),
    "get-vanilla-query-order-key-case": Example(
        "/?Param2=value2&Param1=value1",
        [_SUITE_HOST],
        "host;x-amz-date",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        **_SUITE,
    ),
    "post-vanilla": Example(
        "/",
        [_SUITE_HOST],
        "host;x-amz-date",
        "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        method="POST",
        **_SUITE,
    ),
}


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signer's time stands."""
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: AT)


def login(secret: str = SECRET, **more: str) -> Login:
    return Login({}, {"secret_access_key": secret, **more}, 1, "1")


def signer(**fields: str) -> SigV4:
    return SigV4({"access_key_id": KEY_ID, "region": "us-east-1", **fields})


def request(
    target: str = "/bucket/key", *headers: tuple[str, str], method: str = "GET", length: int | None = None
) -> Request:
    framing = [] if length is None else [("Content-Length", str(length))]
    return Request(method, target, [("Host", HOST), *headers, *framing])


@pytest.mark.parametrize("name", EXAMPLES)
def test_when_an_example_of_aws_is_signed_it_is_as_published(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The published signatures come out, byte for byte."""
    example = EXAMPLES[name]
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *_: example.at)
    made = signer(**example.fields).apply(
        Request(example.method, example.target, example.headers), login(example.secret)
    )
    assert made.target == example.target
    assert (made.header("Authorization") or "").endswith(
        f"SignedHeaders={example.signed}, Signature={example.signature}"
    )


_SEGMENT = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=12)
_QUERY = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
        lambda name: not name.lower().startswith("x-amz-")
    ),
    st.text(st.characters(codec="utf-8"), max_size=10),
    max_size=4,
)
_VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20).map(str.strip)
_HEADERS = st.dictionaries(
    st.sampled_from(["Content-Type", "X-Amz-Meta-Note", "Range", "If-Match", "X-Amz-Acl", "Content-MD5"]),
    _VALUE,
    max_size=4,
)
_PAYLOAD = st.sampled_from([EMPTY, "a" * 64, "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"])
_SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)


@settings(max_examples=150, deadline=None)
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=st.lists(_SEGMENT, min_size=1, max_size=4),
    query=_QUERY,
    headers=_HEADERS,
    payload=_PAYLOAD,
    secret=_SECRETS,
    session=st.none() | _SECRETS,
)
def test_when_botocore_had_signed_itself_the_bytes_would_be_the_same(
    method: str,
    key: list[str],
    query: dict[str, str],
    headers: dict[str, str],
    payload: str,
    secret: str,
    session: str | None,
) -> None:
    """Whatever a client made of botocore asks for, it goes out as if the client had the keys."""
    path = quote("/bucket/" + "/".join(key), safe="/~")
    target = path + ("?" + urlencode(query, quote_via=quote, safe="-_.~") if query else "")
    direct: Any = AWSRequest(method=method, url=f"http://{HOST}{target}")
    direct.headers["Host"] = HOST
    for name, value in headers.items():
        direct.headers[name] = value
    oracle: Any = S3SigV4Auth(Credentials(KEY_ID, secret, session), "s3", "us-east-1")
    oracle.payload = lambda _request: payload
    oracle.add_auth(direct)
    client = request(target, *headers.items(), ("X-Amz-Content-SHA256", payload), method=method)
    client = client.with_header("X-Amz-Date", "19990101T000000Z").with_header("X-Amz-Security-Token", TOKEN)
    given = login(secret) if session is None else login(secret, session_token=session)
    made = signer().apply(client, given)
    assert made.target == target
    assert sorted((name.lower(), value) for name, value in made.headers) == sorted(
        (name.lower(), value) for name, value in direct.headers.items()
    )


@pytest.mark.parametrize(
    ("sent", "signed"),
    [
        ("/b/a=b:c", "/b/a%3Db%3Ac"),
        ("/b/a+b", "/b/a%2Bb"),
        ("/b/%c3%a4", "/b/%C3%A4"),
        ("/b/\xc3\xa4", "/b/%C3%A4"),
        ("/b/50%", "/b/50%25"),
        ("/b/%2F%2e%2E/x", "/b/%2F%2E%2E/x"),
        ("/b//x/", "/b//x/"),
        ("/b?prefix=a/b&delimiter=/", "/b?prefix=a%2Fb&delimiter=%2F"),
        ("/b?prefix=a+b%20c", "/b?prefix=a%20b%20c"),
        ("/b?uploads", "/b?uploads"),
        ("/b?uploads=", "/b?uploads="),
        ("/b?", "/b"),
    ],
)
def test_when_a_client_encodes_otherwise_one_form_is_signed_and_sent(sent: str, signed: str) -> None:
    """Services compare the encoded form, or what they were sent: both are the same then."""
    assert signer().apply(request(sent), login()).target == signed


def test_when_the_client_has_signed_nothing_of_that_is_left() -> None:
    """Neither its key, which is the handle's token, nor its time."""
    client = request(
        "/b/k",
        ("Authorization", f"AWS4-HMAC-SHA256 Credential={TOKEN}/20260101/us-east-1/s3/aws4_request, "
         "SignedHeaders=host, Signature=" + "0" * 64),
        ("x-amz-date", "20260101T000000Z"),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("x-amz-security-token", TOKEN),
    )  # fmt: skip
    made = signer().apply(client, login())
    assert TOKEN not in repr(made.headers)
    assert made.header("X-Amz-Date") == "20261124T120000Z"
    assert made.header("Date") is None
    assert made.header("X-Amz-Security-Token") is None


def test_when_a_url_is_presigned_it_goes_on_as_a_signed_request() -> None:
    """What it was signed with is dropped; what it asks for stays."""
    presigned: Any = AWSRequest(method="GET", url=f"http://{HOST}/b/k?versionId=7&x=a%20b")
    query: Any = SigV4QueryAuth(Credentials(TOKEN, TOKEN), "s3", "us-east-1", 60)
    query.add_auth(presigned)
    client = Request("GET", presigned.url.partition(HOST)[2], [("Host", HOST)])
    made = signer().apply(client, login())
    assert made.target == "/b/k?versionId=7&x=a%20b"
    assert f"Credential={KEY_ID}/" in (made.header("Authorization") or "")


@pytest.mark.parametrize(
    ("said", "length", "payload"),
    [
        ("a" * 64, 5, "a" * 64),
        ("UNSIGNED-PAYLOAD", 5, "UNSIGNED-PAYLOAD"),
        ("STREAMING-UNSIGNED-PAYLOAD-TRAILER", 5, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        (None, None, EMPTY),
        (None, 0, EMPTY),
        (None, 5, "UNSIGNED-PAYLOAD"),
    ],
)
def test_when_the_payload_is_described_that_is_signed(
    said: str | None, length: int | None, payload: str
) -> None:
    """The body is not looked at: the client's hash of it counts, and the service checks it."""
    headers = [] if said is None else [("x-amz-content-sha256", said)]
    made = signer().apply(request("/b/k", *headers, method="PUT", length=length), login())
    assert [value for name, value in made.headers if name.lower() == "x-amz-content-sha256"] == [payload]


@pytest.mark.parametrize(
    "said",
    [
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
        "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD",
        "A" * 64,
        "unsigned-payload",
        "",
    ],
)
def test_when_the_body_is_signed_piece_by_piece_it_is_refused(said: str) -> None:
    """Its pieces carry signatures of the dummy key, which no service takes."""
    with pytest.raises(InvalidRequest, match="in chunks"):
        signer().apply(request("/b/k", ("x-amz-content-sha256", said), method="PUT", length=5), login())


def test_when_another_service_gets_a_body_its_hash_is_needed() -> None:
    """Only S3 takes unsigned payloads; with the client's hash it works, and stays a header."""
    client = request("/", method="POST", length=5)
    with pytest.raises(InvalidRequest, match="x-amz-content-sha256"):
        signer(service="es").apply(client, login())
    made = signer(service="es").apply(client.with_header("x-amz-content-sha256", "b" * 64), login())
    assert made.header("X-Amz-Content-SHA256") == "b" * 64


def test_when_a_header_is_no_ascii_its_bytes_are_signed() -> None:
    """The wire's bytes stay, whatever they are; what is signed is their UTF-8."""
    wire = "grüße".encode().decode("latin-1")
    made = signer().apply(request("/b/k", ("x-amz-meta-note", wire)), login())
    assert made.header("x-amz-meta-note") == wire
    direct: Any = AWSRequest(method="GET", url=f"http://{HOST}/b/k")
    direct.headers["Host"] = HOST
    direct.headers["x-amz-meta-note"] = "grüße"
    oracle: Any = S3SigV4Auth(Credentials(KEY_ID, SECRET), "s3", "us-east-1")
    oracle.add_auth(direct)
    assert made.header("Authorization") == direct.headers["Authorization"]


@pytest.mark.parametrize(
    ("secrets", "kind"),
    [
        ({}, SecretMissing),
        ({"secret_access_key": "line\nbreak"}, SecretInvalid),
        ({"secret_access_key": SECRET, "session_token": "a\r\nHost: evil.example"}, SecretInvalid),
    ],
)
def test_when_the_secret_can_not_be_used_that_is_said(secrets: dict[str, str], kind: type[Exception]) -> None:
    """Before anything is signed."""
    with pytest.raises(kind):
        signer().apply(request(), Login({}, secrets, 1, "1"))


def test_when_there_is_no_key_id_that_is_said() -> None:
    """It is a plain field, which a definition could have left out."""
    with pytest.raises(SecretInvalid, match="access key ID"):
        SigV4({}).apply(request(), login())


def test_when_answers_are_masked_only_what_was_sent_is_known() -> None:
    """The session token: the key signs and is never sent. No other try would help after a 401."""
    authorization = authorization_of({"auth": "sigv4", "access_key_id": KEY_ID})
    assert authorization.credentials(login(session_token="t0ken-of-sts")) == {"t0ken-of-sts"}
    assert authorization.credentials(login()) == set()
    assert not authorization.refused(login())
    assert SECRET not in repr(vars(authorization))


@pytest.mark.parametrize(
    "text",
    ["2099-01-01T00:00:00Z", " 2000-01-01T00:00:00Z", "2000-01-01", "", "None", "0", "2000-01-01T00:00:00Z "],
)
def test_a_policy_without_an_end_that_can_be_read_ends_soon(text: str) -> None:
    """Servers read times in ways of their own: what is not written as it should be counts for nothing."""
    assert _sooner(text) != text


def test_a_policy_may_end_earlier() -> None:
    for text in ("2015-08-30T12:37:00Z", "2015-08-30T12:37:00.000Z"):
        assert _sooner(text) == text
