"""boto3, s3fs, pandas and pyarrow through the real relay, against a server that takes nothing but right signatures."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import os
import pickle
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pandas as pd  # type: ignore[import-untyped]
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from connvault_jupyter.errors import (
    ConnvaultError,
    HandleInvalid,
    NotAllowed,
    SecretMissing,
    UpstreamAuthFailed,
    UpstreamRefused,
    UpstreamUnreachable,
    VaultLocked,
)
from connvault_jupyter.kernel.clients.s3.client import Client
from connvault_jupyter.kernel.masked import HandleToken
from connvault_jupyter.kernel.responses import RelayEndpoint
from tests.support.broker.processes import wait_until
from tests.support.relays.http_relay import HttpRelays, http_relays
from tests.support.relays.relay_handles import new_ref
from tests.support.relays.relay_process import lose
from tests.support.servers.strict_s3 import REGION, SECRET_ACCESS_KEY, StrictS3, strict_s3
from tests.support.servers.tls import loopback_certificate

KEYS = ["plain.txt", "a b+c.txt", "ü/č/日本.bin", "100%/%2F/=&?#", "x//y/", "it's (1)~!*", "dot/../dot"]


class ScriptedRef:
    """What a handle may ask: answered by the test in the broker's place, by the real relay's place."""

    connection = "lake"

    def __init__(self, relays: HttpRelays) -> None:
        self._relays = relays
        self.ref = new_ref()
        self.opened = 0
        self.released = False
        self.gave_out = 0
        self.clients: list[Any] = []

    def open_loopback(self) -> tuple[RelayEndpoint, int]:
        if self.ref in self._relays.vault.ended:
            raise HandleInvalid(reason="revoked")
        self.opened += 1
        endpoint = self._relays.endpoint(self.ref, tcp=True)
        assert endpoint.port is not None
        opened = RelayEndpoint(
            connection="lake", provider_id="s3", protocol="http", directory=endpoint.directory, socket=endpoint.socket,
            hand_over=False, port=endpoint.port, token=HandleToken(endpoint.token), fields=self._relays.vault.fields,
            variables={}, revision=1, rotation="r",
        )  # fmt: skip
        return opened, endpoint.port

    def refuse_if_released(self) -> None:
        if self.released:
            raise HandleInvalid(reason="released")

    def give_out(self) -> None:
        self.gave_out += 1

    def opens(self, opened: Any) -> None:
        self.clients.append(opened)

    def revoke(self) -> None:
        self._relays.revoke(self.ref)

    def lose_relay(self) -> None:
        """As if its worker had crashed."""
        lose(self._relays.supervisor)


@pytest.fixture(scope="module")
def server() -> Iterator[StrictS3]:
    with strict_s3() as found:
        yield found


@pytest.fixture(scope="module")
def processes() -> Iterator[HttpRelays]:
    with http_relays() as found:
        yield found


@pytest.fixture(autouse=True)
def relays(server: StrictS3, processes: HttpRelays) -> Iterator[HttpRelays]:
    """The server as it was, and its keys in the store; one handle serves most tests."""
    before = vars(server).copy()
    server.seen, server.forms = [], []
    yield point(processes, server)
    vars(server).update(before)


@pytest.fixture(scope="module")
def client(server: StrictS3, processes: HttpRelays) -> Client:
    return Client(handle_ref=ScriptedRef(point(processes, server)))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def s3(client: Client) -> Any:
    return client.client(max_pool_connections=50)


@pytest.fixture(scope="module")
def bucket(s3: Any) -> str:
    # moto's buckets are of the whole process.
    name = f"lake-{os.urandom(4).hex()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


@pytest.fixture
def handle_ref(relays: HttpRelays) -> Iterator[ScriptedRef]:
    """Of a handle that may end."""
    found = ScriptedRef(relays)
    yield found
    found.revoke()


def _closed(error: urllib.error.HTTPError) -> urllib.error.HTTPError:
    error.close()
    return error


def point(relays: HttpRelays, server: StrictS3, **more: Any) -> HttpRelays:
    """At the server, with its keys of now."""
    fields = {**server.fields(), "auth": "sigv4", "service": "s3", **more}
    return relays.point(fields.pop("base_url"), secrets=server.secrets(), **fields)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_with_special_characters_is_the_same_object(s3: Any, bucket: str, key: str) -> None:
    """Put, got, listed, copied and deleted under its very name."""
    s3.put_object(Bucket=bucket, Key=key, Body=b"hello", Metadata={"note": "a  b"}, ContentType="text/plain")
    got = s3.get_object(Bucket=bucket, Key=key)
    assert (got["Body"].read(), got["Metadata"]["note"]) == (b"hello", "a  b")
    assert [found["Key"] for found in s3.list_objects_v2(Bucket=bucket, Prefix=key)["Contents"]] == [key]
    s3.copy_object(Bucket=bucket, Key=f"{key}-copy", CopySource={"Bucket": bucket, "Key": key})
    assert s3.head_object(Bucket=bucket, Key=f"{key}-copy")["ContentLength"] == 5
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key}, {"Key": f"{key}-copy"}]})
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix=key)


def test_an_upload_of_many_parts_is_whole(s3: Any, bucket: str, server: StrictS3) -> None:
    """52 MiB in parts, in several threads, and back; every part's hash is checked by the server."""
    content = os.urandom(1024 * 1024) * 52
    s3.upload_fileobj(io.BytesIO(content), bucket, "big")
    assert sum("partNumber=" in target for _, target, _ in server.seen) == 7
    back = io.BytesIO()
    s3.download_fileobj(bucket, "big", back)
    assert back.getvalue() == content
    assert sum("range" in headers for _, _, headers in server.seen) == 7


class Once(io.RawIOBase):
    """Bytes that come from somewhere: read once, and never again."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._content.read(size)


def test_a_body_that_can_be_read_only_once_is_uploaded_over_tls(
    processes: HttpRelays, tmp_path: Path
) -> None:
    """Its hash is not signed then, unless code wants that; TLS keeps it whole."""
    certificate = loopback_certificate()
    (tmp_path / "pair.pem").write_text(certificate.certificate + certificate.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "pair.pem")
    with strict_s3(tls=context) as server:
        point(processes, server, ca_certificate=certificate.authority)
        client = Client(handle_ref=ScriptedRef(processes))  # type: ignore[arg-type]
        s3: Any = client.client()
        name = f"once-{os.urandom(4).hex()}"
        s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_object(Bucket=name, Key="k", Body=Once(b"x" * 300_000), ContentLength=300_000)
        assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"x" * 300_000
        hashed: Any = client.client(s3={"payload_signing_enabled": True})
        hashed.put_object(Bucket=name, Key="k", Body=b"y")
        said = [headers["x-amz-content-sha256"] for method, _, headers in server.seen if method == "PUT"]
        assert said[-2:] == ["UNSIGNED-PAYLOAD", hashlib.sha256(b"y").hexdigest()]


def test_when_the_way_is_not_encrypted_the_body_is_signed(s3: Any, bucket: str, server: StrictS3) -> None:
    """Nobody on the way can change it then."""
    s3.put_object(Bucket=bucket, Key="signed", Body=b"z")
    assert server.seen[-1][2]["x-amz-content-sha256"] == hashlib.sha256(b"z").hexdigest()


def test_a_body_that_streams_is_read_in_blocks(s3: Any, bucket: str, tmp_path: Path) -> None:
    """From a file, and to an iterator; a part of it by its range."""
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    with (tmp_path / "file").open("rb") as file:
        s3.put_object(Bucket=bucket, Key="k", Body=file)
    blocks = list(s3.get_object(Bucket=bucket, Key="k")["Body"].iter_chunks(65536))
    assert len(blocks) > 40
    assert b"".join(blocks) == content
    got = s3.get_object(Bucket=bucket, Key="k", Range="bytes=1000-1999")
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    assert got["Body"].read() == content[1000:2000]


def test_an_object_that_is_stored_compressed_stays_so(s3: Any, bucket: str) -> None:
    """Its coding belongs to it: length, checksum and ranges are of the compressed bytes."""
    content = gzip.compress(b"hello " * 1000)
    s3.put_object(Bucket=bucket, Key="k", Body=content, ContentEncoding="gzip")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["ContentEncoding"], got["ContentLength"]) == ("gzip", len(content))
    assert got["Body"].read() == content
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=3-9")["Body"].read() == content[3:10]


def test_requests_of_the_resource_are_signed_too(client: Client, bucket: str) -> None:
    """boto3's other face."""
    resource: Any = client.resource()
    resource.Bucket(bucket).put_object(Key="resource", Body=b"1")
    found = resource.Bucket(bucket).objects.filter(Prefix="resource")
    assert [one.key for one in found] == ["resource"]


def test_when_pandas_reads_and_writes_the_frames_are_the_same(client: Client, bucket: str) -> None:
    """Parquet and CSV, by storage options and by the filesystem."""
    frame = pd.DataFrame({"a": range(1000), "b": [f"row {n}" for n in range(1000)]})
    options = client.storage_options
    frame.to_parquet(f"s3://{bucket}/frames/x.parquet", storage_options=options)
    frame.to_csv(f"s3://{bucket}/frames/x.csv.gz", storage_options=options, index=False)
    assert pd.read_parquet(f"s3://{bucket}/frames/x.parquet", storage_options=options).equals(frame)
    assert pd.read_csv(f"s3://{bucket}/frames/x.csv.gz", storage_options=options).equals(frame)
    filesystem = client.filesystem()
    filesystem.invalidate_cache()
    assert sorted(filesystem.ls(f"{bucket}/frames")) == [
        f"{bucket}/frames/x.csv.gz",
        f"{bucket}/frames/x.parquet",
    ]
    assert pd.read_parquet(f"{bucket}/frames/x.parquet", filesystem=filesystem, columns=["a"]).shape == (
        1000,
        1,
    )
    assert client.filesystem() is filesystem


def test_when_the_filesystem_writes_in_parts_the_file_is_whole(client: Client, bucket: str) -> None:
    """A file that is longer than a block, read again from its middle."""
    content = os.urandom(12 * 1024 * 1024)
    filesystem = client.filesystem(default_block_size=5 * 1024 * 1024)
    with filesystem.open(f"{bucket}/ü x", "wb") as file:
        file.write(content)
    with filesystem.open(f"{bucket}/ü x", "rb") as file:
        file.seek(7_000_000)
        assert file.read(1000) == content[7_000_000:7_001_000]
    assert filesystem.cat(f"{bucket}/ü x") == content
    filesystem.rm(f"{bucket}/ü x")
    assert not filesystem.exists(f"{bucket}/ü x")


def test_requests_that_another_implementation_signs_work_too(
    client: Client, bucket: str, server: StrictS3
) -> None:
    """Arrow's, made of the AWS SDK for C++, by address and token alone. It streams with an unsigned trailer."""
    from pyarrow import fs  # type: ignore[import-untyped]

    arrow = fs.S3FileSystem(
        access_key=str(client.token), secret_key=str(client.token), endpoint_override=client.base_url,
        scheme="http", region=REGION,
    )  # fmt: skip
    content = os.urandom(11_000_000)
    with arrow.open_output_stream(f"{bucket}/arrow/x") as stream:
        stream.write(content)
    with arrow.open_input_stream(f"{bucket}/arrow/x") as stream:
        assert stream.read() == content
    assert [one.path for one in arrow.get_file_info(fs.FileSelector(f"{bucket}/arrow"))] == [
        f"{bucket}/arrow/x"
    ]
    payloads = {headers.get("x-amz-content-sha256", "") for _, _, headers in server.seen}
    assert "STREAMING-UNSIGNED-PAYLOAD-TRAILER" in payloads


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
    assert _closed(caught.value).code == 401


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
    assert _closed(caught.value).code == 401
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
    assert (_closed(caught.value).code, problem["code"]) == (400, "invalid_request")
    assert "in chunks" in problem["detail"]


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


def test_when_the_machine_is_set_up_for_aws_that_does_not_count(
    client: Client, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither files, profiles, keys and endpoints of the environment, nor proxies."""
    config = tmp_path / "config"
    config.write_text("[default]\nendpoint_url = http://127.0.0.1:1\nregion = mars-1\nmetadata = [broken\n")
    for name, value in {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": str(config),
        "AWS_PROFILE": "nobody",
        "AWS_ACCESS_KEY_ID": "AKIAOTHER",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_CA_BUNDLE": str(tmp_path / "nothing"),
        "HTTP_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }.items():
        monkeypatch.setenv(name, value)
    s3: Any = client.client()
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    assert client.filesystem(use_listings_cache=False).cat(f"{bucket}/k") == b"1"


@pytest.mark.parametrize(
    "name", ["proxies", "signature_version", "region_name", "client_cert", "use_fips_endpoint"]
)
def test_an_argument_that_says_where_or_as_whom_is_refused(client: Client, name: str) -> None:
    """That is the connection's."""
    with pytest.raises(TypeError, match=name):
        client.client("s3", **{name: None})
    with pytest.raises(TypeError, match="key"):
        client.filesystem(key="AKIA")


def test_another_service_than_s3_is_refused(client: Client) -> None:
    """The broker signs for the one that the connection is for."""
    with pytest.raises(NotAllowed):
        client.client("sts")


def test_when_looked_at_no_secret_is_in_the_client(client: Client, s3: Any, bucket: str) -> None:
    """Neither in the client's nor in the libraries' objects; pickling the endpoint is refused."""
    s3.list_buckets()
    filesystem = client.filesystem()
    shown = repr(vars(client)) + repr(vars(filesystem)) + repr(vars(s3)) + repr(client.storage_options)
    assert SECRET_ACCESS_KEY not in shown
    assert client.delivery == "relay"
    with pytest.raises(TypeError):
        pickle.dumps(client._endpoint())
