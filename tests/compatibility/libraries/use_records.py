"""A query with a parameter, as a table; by `handle.env()['DATABASE_URL']`."""

import records

from connvault_jupyter import connection

database = records.Database(connection("postgresql").env()["DATABASE_URL"])
assert database.query("select :n + 1 as m", n=41)[0].m == 42
