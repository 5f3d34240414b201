"""An object is put, listed, got; the loopback address, the token as key."""

import io

from minio import Minio

from connvault_jupyter import connection

handle = connection("s3")
place = handle.env()
client = Minio(
    place["AWS_ENDPOINT_URL"].removeprefix("http://"),
    access_key=place["AWS_ACCESS_KEY_ID"],
    secret_key=place["AWS_SECRET_ACCESS_KEY"],
    region=place["AWS_REGION"],
    secure=False,
)
client.put_object("tried", "by-minio/b.txt", io.BytesIO(b"hello"), 5)
assert [found.object_name for found in client.list_objects("tried", "by-minio/")] == ["by-minio/b.txt"]
assert client.get_object("tried", "by-minio/b.txt").read() == b"hello"
