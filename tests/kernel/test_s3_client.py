"""boto3, s3fs, pandas and pyarrow through the real relay, against a server that takes nothing but right signatures."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import ssl
from pathlib import Path
from typing import Any

import pandas as pd  # type: ignore[import-untyped]
import pytest

from connvault_jupyter.errors import NotAllowed
from connvault_jupyter.kernel.clients.s3.client import Client
from tests.support.relays.http_relay import HttpRelays
from tests.support.relays.s3_handles import ScriptedRef, point
from tests.support.relays.s3_handles import bucket as bucket
from tests.support.relays.s3_handles import client as client
from tests.support.relays.s3_handles import processes as processes
from tests.support.relays.s3_handles import relays as relays
from tests.support.relays.s3_handles import s3 as s3
from tests.support.relays.s3_handles import server as server
from tests.support.servers.strict_s3 import REGION, SECRET_ACCESS_KEY, StrictS3, strict_s3
from tests.support.servers.tls import loopback_certificate

KEYS = ["plain.txt", "a b+c.txt", "ü/č/日本.bin", "100%/%2F/=&?#", "x//y/", "it's (1)~!*", "dot/../dot"]


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
