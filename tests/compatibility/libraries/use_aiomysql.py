"""A pool and a query; by the socket of `handle.env()`."""

import asyncio

import aiomysql

from connvault_jupyter import connection


async def main() -> None:
    socket = connection("mysql").env()["MYSQL_UNIX_PORT"]
    pool = await aiomysql.create_pool(unix_socket=socket, user="anyone")
    async with pool.acquire() as session, session.cursor() as cursor:
        await cursor.execute("select 42")
        assert await cursor.fetchone() == (42,)
    pool.close()
    await pool.wait_closed()


asyncio.run(main())
