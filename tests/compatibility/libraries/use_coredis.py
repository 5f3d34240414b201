"""A value in RESP3; by the loopback port of `handle.env(tcp=True)`."""

import asyncio

from coredis import Redis

from connvault_jupyter import connection


async def main() -> None:
    client = Redis.from_url(connection("redis").env(tcp=True)["REDIS_URL"], decode_responses=True)
    async with client:
        await client.set("coredis", "here")
        assert await client.get("coredis") == "here"


asyncio.run(main())
