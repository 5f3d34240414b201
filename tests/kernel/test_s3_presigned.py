"""Addresses and forms that are signed beforehand, and requests that are not signed at all."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config

from connvault_jupyter.errors import HandleInvalid
from connvault_jupyter.kernel.clients.s3.client import Client
from tests.support.relays.http_relay import HttpRelays
from tests.support.relays.s3_handles import ScriptedRef, closed, point
from tests.support.relays.s3_handles import bucket as bucket
from tests.support.relays.s3_handles import client as client
from tests.support.relays.s3_handles import handle_ref as handle_ref
from tests.support.relays.s3_handles import processes as processes
from tests.support.relays.s3_handles import relays as relays
from tests.support.relays.s3_handles import s3 as s3
from tests.support.relays.s3_handles import server as server
from tests.support.servers.strict_s3 import REGION, StrictS3


def test_a_presigned_url_leads_to_loopback(client: Client, bucket: str) -> None:
    """It is good there, with the handle's token and with no other."""
    s3: Any = client.client()
    s3.put_object(Bucket=bucket, Key="a b", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "a b"}, ExpiresIn=60)
    assert url.startswith(client.base_url + "/")
    with urllib.request.urlopen(url) as answer:  # noqa: S310 -- it begins with http://127.0.0.1
        assert answer.read() == b"hello"
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(url.replace(str(client.token)[:20], "x" * 20))  # noqa: S310
    assert closed(caught.value).code == 401


def test_when_an_address_was_given_out_the_handle_stays(
    relays: HttpRelays, server: StrictS3, bucket: str
) -> None:
    """A presigned URL is for whoever has it; a body is read when its client may be gone. A mere request is neither."""
    handle_ref = ScriptedRef(point(relays, server))
    client = Client(handle_ref=handle_ref)  # type: ignore[arg-type]
    s3: Any = client.client()
    s3.put_object(Bucket=bucket, Key="k", Body=b"hello")
    assert (handle_ref.gave_out, handle_ref.clients) == (0, [])
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    assert handle_ref.clients == [body]
    body.read()
    given: list[Any] = [
        s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "k"}),
        s3.generate_presigned_post(bucket, "k"),
        client.base_url,
        client.token,
        client.storage_options,
    ]
    assert handle_ref.gave_out == len(given)
    handle_ref.released = True
    with pytest.raises(HandleInvalid):
        s3.head_object(Bucket=bucket, Key="k")


def _posted(presigned: dict[str, Any], content: bytes, **more: str) -> int:
    fields = {**presigned["fields"], **more}
    found = requests.post(
        presigned["url"], data=fields, files={"file": ("f.bin", content)}, timeout=20, allow_redirects=False
    )
    return found.status_code


@pytest.mark.parametrize("signature", ["s3v4", "s3"])
@pytest.mark.parametrize("size", [5, 300_000])
def test_when_a_post_is_presigned_the_form_is_signed_anew(
    client: Client, s3: Any, bucket: str, server: StrictS3, signature: str, size: int
) -> None:
    """By our clients and by others; the file arrives as it is, and nothing of the handle's does."""
    other = boto3.client(
        "s3", endpoint_url=client.base_url, aws_access_key_id=client.token, region_name=REGION,
        aws_secret_access_key=client.token, config=Config(signature_version=signature, s3={"addressing_style": "path"}),
    )  # fmt: skip
    for number, maker in enumerate((s3, other)):
        key = f"posted-{signature}-{size}-{number}"
        presigned = maker.generate_presigned_post(
            bucket, key, Fields={"acl": "private"}, Conditions=[{"acl": "private"}], ExpiresIn=86400
        )
        content = os.urandom(size)
        assert _posted(presigned, content) == 204
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content
        assert client.token not in str(server.forms[-1]) + str(server.seen)
        assert client.token not in base64.b64decode(server.forms[-1]["policy"]).decode()


def test_when_a_presigned_form_is_another_handles_nobody_is_let_in(
    client: Client, s3: Any, bucket: str, handle_ref: ScriptedRef, server: StrictS3
) -> None:
    """Nor with one that is malformed, or has no policy."""
    presigned = s3.generate_presigned_post(bucket, "k")
    stranger = Client(handle_ref=handle_ref)  # type: ignore[arg-type]
    there = {**presigned, "url": f"{stranger.base_url}/{bucket}"}
    assert _posted(there, b"x") == 401
    fields = {name: value for name, value in presigned["fields"].items() if name != "policy"}
    assert _posted({**presigned, "fields": fields}, b"x") == 401
    assert _posted(presigned, b"x", policy="e30=") == 400
    assert server.forms == []


def test_when_nothing_is_signed_nobody_is_let_in(client: Client, bucket: str, server: StrictS3) -> None:
    """An address without the token is of no use."""
    before = len(server.seen)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(f"{client.base_url}/{bucket}")  # noqa: S310
    assert closed(caught.value).code == 401
    assert len(server.seen) == before


def test_when_the_body_is_signed_piece_by_piece_the_problem_says_so(client: Client, bucket: str) -> None:
    """In words, with a code; the upload does not begin."""
    request = urllib.request.Request(  # noqa: S310 -- it begins with http://127.0.0.1
        f"{client.base_url}/{bucket}/k", data=b"5;chunk-signature=0\r\nhello\r\n", method="PUT",
        headers={
            "Authorization": f"AWS4-HMAC-SHA256 Credential={client.token!s}/20260101/r/s3/aws4_request, Signature=0",
            "X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
        },
    )  # fmt: skip
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)  # noqa: S310
    problem = json.loads(caught.value.read())
    assert (closed(caught.value).code, problem["code"]) == (400, "invalid_request")
    assert "in chunks" in problem["detail"]
