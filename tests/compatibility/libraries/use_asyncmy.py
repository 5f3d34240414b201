"""A connection and a query; by the loopback port of `handle.env(tcp=True)`."""

import asyncio

import asyncmy

from connvault_jupyter import connection


async def main() -> None:
    place = connection("mysql").env(tcp=True)
    session = await asyncmy.connect(
        host=place["MYSQL_HOST"],
        port=int(place["MYSQL_TCP_PORT"]),
        user="anyone",
        password=place["MYSQL_PWD"],
    )
    async with session.cursor() as cursor:
        await cursor.execute("select 42")
        assert await cursor.fetchone() == (42,)
    await session.ensure_closed()


asyncio.run(main())
