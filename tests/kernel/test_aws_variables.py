"""Variables for AWS programs on a machine that is set up for another account: real botocore and s3fs, no server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from connvault_jupyter.kernel.clients.s3.variables import overridden

FOUND = {
    "AWS_ENDPOINT_URL": "http://127.0.0.1:4711",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:4711",
    "AWS_ACCESS_KEY_ID": "the-token",
    "AWS_SECRET_ACCESS_KEY": "the-token",
    "AWS_REGION": "eu-test-1",
    "AWS_DEFAULT_REGION": "eu-test-1",
}
CONFIG = """
[default]
endpoint_url = http://192.0.2.1
s3 =
    addressing_style = virtual
    use_accelerate_endpoint = true
[profile production]
endpoint_url = http://192.0.2.1
use_dualstack_endpoint = true
"""
FOREIGN = {
    "AWS_PROFILE": "production",
    "AWS_DEFAULT_PROFILE": "production",
    "AWS_SESSION_TOKEN": "of-another-account",
    "AWS_SECURITY_TOKEN": "of-another-account",
    "AWS_CREDENTIAL_EXPIRATION": "2020-01-01T00:00:00Z",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    "AWS_USE_FIPS_ENDPOINT": "true",
    "AWS_USE_DUALSTACK_ENDPOINT": "true",
    "FSSPEC_S3_ENDPOINT_URL": "http://192.0.2.1",
    "FSSPEC_S3_KEY": "AKIAOTHER",
}
# Where a presigned address of a client leads, and with what; what s3fs takes without arguments.
CODE = """
import boto3, json, s3fs
url = boto3.client("s3").generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"})
print(json.dumps([url, dict(s3fs.S3FileSystem().storage_options)]))
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a person who works with another account."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    (tmp_path / ".aws" / "credentials").write_text("[production]\naws_access_key_id = AKIAOTHER\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("foreign", [{}, FOREIGN], ids=["files", "files and variables"])
@pytest.mark.usefixtures("home")
def test_a_client_goes_to_the_handle(monkeypatch: pytest.MonkeyPatch, foreign: dict[str, str]) -> None:
    """Whatever profile, token or setting the machine has."""
    for name, value in foreign.items():
        monkeypatch.setenv(name, value)
    environment = {**os.environ, **FOUND, **overridden(FOUND)}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    url, options = json.loads(done.stdout)
    assert url.startswith("http://127.0.0.1:4711/b/k?")
    assert "the-token" in url
    assert "of-another-account" not in url
    assert options.get("endpoint_url", FOUND["AWS_ENDPOINT_URL"]) == FOUND["AWS_ENDPOINT_URL"]
    assert options.get("key", "the-token") == "the-token"


def test_what_is_not_set_is_not_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    """But for what would lead elsewhere: it may be set where the program is started."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "FSSPEC_"))]:
        monkeypatch.delenv(name)
    found = overridden(FOUND)
    files = {"AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"}
    assert set(found) == files | {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"}
    assert all(Path(found[name]).is_file() for name in files)
