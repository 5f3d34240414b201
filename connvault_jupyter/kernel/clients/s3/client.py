"""S3-compatible storage: boto3 clients and an s3fs filesystem whose requests the broker signs.

No key of the service is in this process. The libraries sign with the handle's token, which opens the handle's
loopback place and nothing else.
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

# How to read and cache, not where and as whom.
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
        """The handle's endpoint on loopback, for other libraries as endpoint (path-style). Good while the handle is.

        Raises: HandleInvalid, VaultLocked, ...: the broker refuses.
        """
        endpoint = self._endpoint()
        endpoint.give_out()
        return endpoint.address

    @property
    def token(self) -> HandleToken:
        """Access key ID and secret access key for `base_url`, both. It is the handle's, and no key of the service."""
        endpoint = self._endpoint()
        endpoint.give_out()
        return endpoint.opened.token

    @property
    def bucket(self) -> str:
        """The bucket that the connection names, or an empty string."""
        return str(self._endpoint().opened.fields.get("bucket") or "")

    def client(self, service: str = "s3", **config: Any) -> BaseClient:
        """A new boto3 client. `config` are arguments of `botocore.config.Config`: `retries`, `read_timeout` (s), ...

        Presigned URLs of it lead to the loopback endpoint: good for whom and as long as `Handle.env()`, whatever
        `ExpiresIn` says.

        Raises:
            TypeError: an argument that would say where or as whom to log in.
            ImportError: boto3 is not installed.
            HandleInvalid, VaultLocked, ...: the broker refuses. Using the client raises these too, and
            UpstreamAuthFailed, UpstreamUnreachable, UpstreamTlsFailed, UpstreamTimeout, UpstreamRefused; what the
            service answers otherwise is botocore's `ClientError`.
        """
        session, arguments = self._boto3(service, config)
        found: BaseClient = session.client(service, **arguments)
        return found

    def resource(self, **config: Any) -> ServiceResource:
        """A boto3 resource for S3; arguments and errors as those of `client()`."""
        session, arguments = self._boto3("s3", config)
        found: ServiceResource = session.resource("s3", **arguments)
        return found

    def filesystem(self, **arguments: Any) -> Any:
        """An `s3fs.S3FileSystem`, to list, open and copy, for pandas, pyarrow and what else takes fsspec.

        Without arguments it is the same one each time. Takes those of s3fs that say how to read and cache
        (`default_block_size`, `use_listings_cache`, ...).

        Raises: TypeError, ImportError, and what `client()` raises.
        """
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
        """What pandas passes to s3fs: `pandas.read_csv("s3://bucket/key", storage_options=handle.storage_options)`.
        Dask and joblib may pickle it for workers that this kernel starts."""
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
        """One for all clients: when it moves, they all follow. Opened anew, so that a broker that refuses says so."""
        # Not every library that gets the address can be told so.
        spare()
        if self._at is None:
            self._at = S3Endpoint(handle_ref=self._handle_ref)
        else:
            self._at.renew()
        return self._at
