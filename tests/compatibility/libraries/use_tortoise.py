"""A model, a row, a query over asyncpg; credentials from `handle.env()`."""

from tortoise import Tortoise, fields, run_async
from tortoise.models import Model

from connvault_jupyter import connection


class Track(Model):
    id = fields.IntField(primary_key=True)
    title = fields.TextField()


async def main() -> None:
    place = connection("postgresql").env()
    credentials = {
        "host": place["PGHOST"],
        "port": int(place["PGPORT"]),
        "user": place["PGUSER"],
        "database": place["PGDATABASE"],
        "ssl": False,
    }
    backend = {"engine": "tortoise.backends.asyncpg", "credentials": credentials}
    await Tortoise.init(
        {
            "connections": {"default": backend},
            "apps": {"m": {"models": ["__main__"], "default_connection": "default"}},
        }
    )
    await Tortoise.generate_schemas()
    await Track.create(title="one")
    assert (await Track.first()).title == "one"


run_async(main())
