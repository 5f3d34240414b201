"""An entity, a row, a generator query; psycopg2 by the parts of `handle.env()`."""

from pony.orm import Database, Required, db_session, select

from connvault_jupyter import connection

place = connection("postgresql").env()
database = Database(
    provider="postgres", host=place["PGHOST"], user=place["PGUSER"], database=place["PGDATABASE"]
)


class Bird(database.Entity):
    name = Required(str)


database.generate_mapping(create_tables=True)
with db_session:
    Bird(name="wren")
with db_session:
    assert select(bird.name for bird in Bird)[:] == ["wren"]
