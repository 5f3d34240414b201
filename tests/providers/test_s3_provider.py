"""S3-compatible storage: the shipped suite for it, and what its form says."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from connvault_jupyter.providers.conformance import ProviderConformance
from tests.support.services.catalogue import definition, provider, said

S3 = {
    "base_url": "https://s3.eu-central-1.amazonaws.com",
    "region": "eu-central-1",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
}


class TestS3(ProviderConformance):
    example: ClassVar = S3

    def definition(self) -> Any:
        return definition("s3")


class TestS3OnThisMachine(ProviderConformance):
    example: ClassVar = {
        "base_url": "http://127.0.0.1:9000",
        "allow_http": True,
        "region": "us-east-1",
        "bucket": "sales-data",
        "access_key_id": "minio",
    }

    def definition(self) -> Any:
        return definition("s3")


def test_when_a_key_leaks_only_its_id_can() -> None:
    """The id is shown like a user's name; secret and session token are written only."""
    assert provider("s3").secret_fields == {"secret_access_key", "session_token"}
    assert provider("s3").destination_fields == {"base_url", "ca_certificate"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"base_url": "http://127.0.0.1:9000"}, "base_url"),
        ({"base_url": "https://s3.example.com/bucket"}, "base_url"),
        ({"base_url": "https://key:secret@s3.example.com"}, "base_url"),
        ({"region": "eu central"}, "region"),
        ({"region": "eu/../x"}, "region"),
        ({"bucket": "Bucket"}, "bucket"),
        ({"bucket": "a/b"}, "bucket"),
        ({"access_key_id": "AKIA/20260101"}, "access_key_id"),
        ({"access_key_id": "AKIA\nX"}, "access_key_id"),
        ({"access_key_id": ""}, "access_key_id"),
        ({"ca_certificate": "-----BEGIN PRIVATE KEY-----"}, "ca_certificate"),
    ],
)
def test_a_field_of_s3_that_can_not_be_is_refused(changes: dict[str, Any], field: str) -> None:
    """Each with words of its own."""
    assert list(said("s3", {**S3, **changes})) == [f"fields.{field}"]


def test_variables_for_other_programs_have_no_secret_of_s3() -> None:
    """The handle's token stands for both keys, and nothing looks for a machine's role."""
    (delivery,) = provider("s3").deliveries
    assert (delivery.kind, delivery.mode, delivery.recipe) == (
        "relay",
        "brokered",
        {"auth": "sigv4", "service": "s3", "refusal_type": "application/xml"},
    )
    assert delivery.variables["AWS_SECRET_ACCESS_KEY"] == "{token}"
    assert delivery.variables["AWS_EC2_METADATA_DISABLED"] == "true"
