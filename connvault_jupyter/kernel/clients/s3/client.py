"""S3-compatible storage: boto3 clients and an s3fs filesystem whose requests the broker signs.

This process has no key of the service. The libraries sign with the handle's token, which is only valid at the handle's
loopback endpoint.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ....errors import NotAllowed
from ...client_arguments import check_arguments, imported
from ...handle_ref import HandleRef
from ...masked import HandleToken
from ...proxies import spare
from .endpoint import S3Endpoint

if TYPE_CHECKING:
    from boto3.resources.base import ServiceResource
    from botocore.client import BaseClient

_EXTRA = "s3"

# How to read and cache, not where or as whom.
ALLOWED = frozenset(
    (
        "asynchronous",
        "cache_regions",
        "default_block_size",
        "default_cache_type",
        "default_fill_cache",
        "fixed_upload_size",
        "listings_expiry_time",
        "loop",
        "max_concurrency",
        "max_paths",
        "requester_pays",
        "s3_additional_kwargs",
        "use_listings_cache",
        "version_aware",
    )
)


class Client:
    """Openers of an S3 handle."""

    delivery = "relay"

    def __init__(self, *, handle_ref: HandleRef) -> None:
        self._handle_ref = handle_ref
        self._at: S3Endpoint | None = None
        self._shared: dict[int, Any] = {}

    @property
    def base_url(self) -> str:
        """See `ObjectStoreHandle.base_url`."""
        endpoint = self._endpoint()
        endpoint.give_out()
        return endpoint.address

    @property
    def url(self) -> str:
        """See `ObjectStoreHandle.url`."""
        return self.base_url

    @property
    def token(self) -> HandleToken:
        """See `ObjectStoreHandle.token`."""
        endpoint = self._endpoint()
        endpoint.give_out()
        return endpoint.opened.token

    @property
    def bucket(self) -> str:
        """See `ObjectStoreHandle.bucket`."""
        return str(self._endpoint().opened.fields.get("bucket") or "")

    def client(self, service: str = "s3", **config: Any) -> BaseClient:
        """See `ObjectStoreHandle.client`."""
        session, arguments = self._boto3(service, config)
        found: BaseClient = session.client(service, **arguments)
        return found

    def resource(self, **config: Any) -> ServiceResource:
        """See `ObjectStoreHandle.resource`."""
        session, arguments = self._boto3("s3", config)
        found: ServiceResource = session.resource("s3", **arguments)
        return found

    def filesystem(self, **arguments: Any) -> Any:
        """See `ObjectStoreHandle.filesystem`."""
        check_arguments(arguments, ALLOWED)
        if arguments:
            return self._new_filesystem(arguments)
        # A forked child can't use its parent's event loop.
        pid = os.getpid()
        if pid not in self._shared:
            self._shared = {pid: self._new_filesystem({})}
        return self._shared[pid]

    @property
    def storage_options(self) -> dict[str, Any]:
        """See `ObjectStoreHandle.storage_options`."""
        options = dict(self.filesystem().storage_options)
        self._handle_ref.give_out()
        return options

    def _boto3(self, service: str, config: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        boto3 = imported("boto3", name="boto3", extra=_EXTRA)
        from botocore.config import Config
        from botocore.session import Session

        endpoint = self._endpoint()
        signed_for = str(endpoint.opened.fields.get("service") or "s3")
        if service != signed_for:
            raise NotAllowed(
                f"The broker signs for {signed_for} only.", connection=self._handle_ref.connection
            )
        return boto3.Session(botocore_session=endpoint.session(Session)), {
            "aws_access_key_id": endpoint.token,
            "aws_secret_access_key": endpoint.token,
            "config": Config(**endpoint.config(config)),
            "endpoint_url": endpoint.address,
            "region_name": endpoint.region(),
        }

    def _new_filesystem(self, arguments: dict[str, Any]) -> Any:
        s3fs = imported("s3fs", name="s3fs", extra=_EXTRA)
        from aiobotocore.session import AioSession  # type: ignore[import-untyped]

        endpoint = self._endpoint()
        return s3fs.S3FileSystem(
            **arguments,
            key=endpoint.token,
            secret=endpoint.token,
            endpoint_url=endpoint.address,
            client_kwargs={"region_name": endpoint.region()},
            config_kwargs=endpoint.config({}),
            session=endpoint.session(AioSession),
        )

    def _endpoint(self) -> S3Endpoint:
        """One for all clients: if it moves, all of them follow. Opened again here, so that a refusing broker is
        reported."""
        # Not every library that has the address can be told of a new one.
        spare()
        if self._at is None:
            self._at = S3Endpoint(handle_ref=self._handle_ref)
        else:
            self._at.renew()
        return self._at
