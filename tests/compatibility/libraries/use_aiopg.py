"""A pool, a query, LISTEN and NOTIFY; by `handle.dsn`."""

import asyncio

import aiopg

from connvault_jupyter import connection


async def main() -> None:
    pool = await aiopg.create_pool(connection("postgresql").dsn)
    async with pool.acquire() as session, session.cursor() as cursor:
        await cursor.execute("listen news")
        await cursor.execute("notify news, 'hello'")
        assert (await session.notifies.get()).payload == "hello"
        await cursor.execute("select 42")
        assert await cursor.fetchone() == (42,)
    pool.close()
    await pool.wait_closed()


asyncio.run(main())
