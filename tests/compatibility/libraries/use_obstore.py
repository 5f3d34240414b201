"""Put and got by object_store's Rust client; by `handle.env()`."""

import obstore
from obstore.store import S3Store

from connvault_jupyter import connection

handle = connection("s3")
place = handle.env()
store = S3Store(
    "tried",
    endpoint=place["AWS_ENDPOINT_URL"],
    access_key_id=place["AWS_ACCESS_KEY_ID"],
    secret_access_key=place["AWS_SECRET_ACCESS_KEY"],
    region=place["AWS_REGION"],
    client_options={"allow_http": True},
)
obstore.put(store, "a.txt", b"hello")
assert bytes(obstore.get(store, "a.txt").bytes()) == b"hello"
