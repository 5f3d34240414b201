"""A value with a life; by the loopback port of `handle.env(tcp=True)`."""

import asyncio
from urllib.parse import urlsplit

from aiocache import RedisCache

from connvault_jupyter import connection


async def main() -> None:
    place = urlsplit(connection("redis").env(tcp=True)["REDIS_URL"])
    async with RedisCache(endpoint=place.hostname, port=place.port, password=place.password) as cache:
        await cache.set("greeting", "hello", ttl=60)
        assert await cache.get("greeting") == "hello"


asyncio.run(main())
