"""A transaction and a query; by `handle.dsn`."""

import asyncio

from databases import Database

from connvault_jupyter import connection


async def main() -> None:
    async with Database(connection("postgresql").dsn) as database, database.transaction():
        assert await database.fetch_val("select :n + 1", {"n": 41}) == 42


asyncio.run(main())
