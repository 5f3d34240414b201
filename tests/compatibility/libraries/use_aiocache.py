"""A cached function; with `handle.async_client()`."""

import asyncio

from aiocache.backends.redis import RedisCache

from connvault_jupyter import connection


async def main() -> None:
    cache = RedisCache(client=connection("redis").async_client(decode_responses=True))
    await cache.set("greeting", "hello", ttl=60)
    assert await cache.get("greeting") == "hello"


asyncio.run(main())
