"""A pipeline; by `handle.url`."""

import valkey

from connvault_jupyter import connection

client = valkey.from_url(connection("redis").url, decode_responses=True)
with client.pipeline() as pipeline:
    assert pipeline.set("v", "1").incr("v").get("v").execute() == [True, 2, "2"]
