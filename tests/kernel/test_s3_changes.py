"""S3's clients when something fails or changes: keys, permission, relay, service."""

from __future__ import annotations

import io
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from connvault_jupyter.errors import (
    ConnvaultError,
    HandleInvalid,
    SecretMissing,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamUnreachable,
    VaultLocked,
)
from connvault_jupyter.kernel.clients.s3.client import Client
from tests.support.broker.processes import wait_until
from tests.support.relays.http_relay import HttpRelays
from tests.support.relays.s3_handles import ScriptedRef, point
from tests.support.relays.s3_handles import bucket as bucket
from tests.support.relays.s3_handles import client as client
from tests.support.relays.s3_handles import handle_ref as handle_ref
from tests.support.relays.s3_handles import processes as processes
from tests.support.relays.s3_handles import relays as relays
from tests.support.relays.s3_handles import s3 as s3
from tests.support.relays.s3_handles import server as server
from tests.support.servers.strict_s3 import SECRET_ACCESS_KEY, StrictS3


def test_a_no_of_the_service_is_botocores_error(client: Client, s3: Any, bucket: str) -> None:
    """Its ordinary refusals are passed on as they are."""
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="nothing")
    assert caught.value.response["Error"]["Code"] == "NoSuchKey"
    with pytest.raises(FileNotFoundError):
        client.filesystem().cat(f"{bucket}/nothing")


@pytest.mark.parametrize("what", ["secret_access_key", "access_key_id", "session_token"])
def test_when_the_key_is_wrong_the_error_is_typed(
    client: Client, s3: Any, bucket: str, server: StrictS3, what: str
) -> None:
    """In boto3 and in s3fs; the secret is not in it."""
    setattr(server, what, "another-one")
    for attempt in (s3.list_buckets, lambda: client.filesystem().ls(bucket, refresh=True)):
        with pytest.raises(UpstreamAuthFailed) as caught:
            attempt()
        assert caught.value.details == {"connection": "lake"}
        assert SECRET_ACCESS_KEY not in str(caught.value)


def test_when_the_clock_is_wrong_that_is_said(s3: Any, bucket: str, server: StrictS3) -> None:
    """Nothing is wrong with the key then."""
    server.skew = timedelta(minutes=16)
    with pytest.raises(UpstreamRefused, match="clock") as caught:
        s3.list_buckets()
    assert caught.value.details["reason"] == "clock_skew"


def test_when_keys_are_for_a_while_the_session_token_goes_along(
    handle_ref: ScriptedRef, server: StrictS3, relays: HttpRelays
) -> None:
    """As STS gives them."""
    server.session_token = "FwoGZXIvYXdzEJr//token=="
    point(relays, server)
    own: Any = Client(handle_ref=handle_ref).client()  # type: ignore[arg-type]
    assert own.list_buckets()["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert server.seen[-1][2]["x-amz-security-token"] == server.session_token


def test_when_the_secret_is_replaced_the_same_client_goes_on(
    handle_ref: ScriptedRef, bucket: str, server: StrictS3, relays: HttpRelays
) -> None:
    """Rotation needs no new client."""
    client = Client(handle_ref=handle_ref)  # type: ignore[arg-type]
    own: Any = client.client()
    filesystem = client.filesystem()
    own.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert filesystem.cat(f"{bucket}/k") == b"1"
    server.access_key_id, server.secret_access_key = "AKIANEW", "n3w/secret+KEY0123456789"
    point(relays, server)

    # A connection that is in use shares one login for at most a second.
    def by_boto3() -> bytes | None:
        try:
            return bytes(own.get_object(Bucket=bucket, Key="k")["Body"].read())
        except UpstreamAuthFailed:
            return None

    def by_s3fs() -> bytes | None:
        try:
            return bytes(filesystem.cat(f"{bucket}/k"))
        except (UpstreamAuthFailed, PermissionError):
            # s3fs asks by HEAD first, and an answer to that has no code.
            return None

    assert wait_until(by_boto3, deadline_s=10, what="the new key") == b"1"
    assert wait_until(by_s3fs, deadline_s=10, what="the new key") == b"1"


def test_a_download_ends_when_the_permission_is_revoked(
    s3: Any, bucket: str, handle_ref: ScriptedRef, server: StrictS3
) -> None:
    """What has come is short, and the next use is refused with the broker's own word."""
    s3.put_object(Bucket=bucket, Key="long", Body=os.urandom(20_000_000))
    client = Client(handle_ref=handle_ref)  # type: ignore[arg-type]
    own: Any = client.client(retries={"max_attempts": 0})
    reached, going_on = threading.Event(), threading.Event()

    def pause() -> None:
        reached.set()
        going_on.wait(20)

    server.pause = pause
    body = own.get_object(Bucket=bucket, Key="long")["Body"]
    try:
        assert reached.wait(20)
        handle_ref.revoke()
        with pytest.raises((IncompleteReadError, ResponseStreamingError, ReadTimeoutError)):
            body.read()
    finally:
        going_on.set()
    server.pause = None
    with pytest.raises(HandleInvalid):
        own.list_buckets()
    with pytest.raises(HandleInvalid):
        client.filesystem()


def test_when_the_relay_is_gone_the_same_clients_find_the_next_one(
    handle_ref: ScriptedRef, bucket: str
) -> None:
    """Its port and token are others; an upload is sent again from its beginning."""
    client = Client(handle_ref=handle_ref)  # type: ignore[arg-type]
    own: Any = client.client()
    filesystem = client.filesystem()
    own.put_object(Bucket=bucket, Key="lost", Body=b"1")
    assert filesystem.cat(f"{bucket}/lost") == b"1"
    before = client.base_url, str(client.token)
    handle_ref.lose_relay()
    own.put_object(Bucket=bucket, Key="lost", Body=io.BytesIO(b"2" * 300_000))
    assert filesystem.cat(f"{bucket}/lost") == b"2" * 300_000
    assert (client.base_url, str(client.token)) != before


def test_fifty_clients_at_once_are_all_served(s3: Any, bucket: str) -> None:
    """Each with its own connection and its own object."""
    barrier = threading.Barrier(50)

    def work(number: int) -> bool:
        barrier.wait(20)
        content = bytes([number]) * 100_000
        s3.put_object(Bucket=bucket, Key=f"fifty/{number}", Body=content)
        return bool(s3.get_object(Bucket=bucket, Key=f"fifty/{number}")["Body"].read() == content)

    with ThreadPoolExecutor(50) as pool:
        assert all(pool.map(work, range(50)))
    assert s3.list_objects_v2(Bucket=bucket, Prefix="fifty/")["KeyCount"] == 50


@pytest.mark.parametrize("error", [VaultLocked(), SecretMissing(), HandleInvalid(reason="foreign")])
def test_a_refusal_of_the_relay_arrives_as_its_error(
    bucket: str, handle_ref: ScriptedRef, relays: HttpRelays, error: ConnvaultError
) -> None:
    """With and without a body to say it in, in boto3 and in s3fs."""
    client = Client(handle_ref=handle_ref)  # type: ignore[arg-type]
    own: Any = client.client()
    relays.vault.refusal = error
    for attempt in (
        own.list_buckets,
        lambda: own.head_bucket(Bucket=bucket),
        lambda: client.filesystem().ls(bucket),
    ):
        with pytest.raises(type(error)) as caught:
            attempt()
        assert caught.value.details["connection"] == "lake"


def test_when_the_service_is_away_the_error_is_typed(handle_ref: ScriptedRef, relays: HttpRelays) -> None:
    """The relay says what went wrong, at once and not after botocore's retries."""
    relays.point("http://127.0.0.1:1", secrets=relays.vault.secrets, auth="sigv4", access_key_id="AKIA")
    own: Any = Client(handle_ref=handle_ref).client()  # type: ignore[arg-type]
    with pytest.raises(UpstreamUnreachable):
        own.list_buckets()
