"""An expression over a table; `ibis.connect` with the parts of `handle.env()`."""

import ibis

from connvault_jupyter import connection

handle = connection("postgresql")
place = handle.env()
handle.connect(autocommit=True).execute("create table temperatures as select generate_series(1, 10) as t")
session = ibis.postgres.connect(
    host=place["PGHOST"], port=int(place["PGPORT"]), user=place["PGUSER"], database=place["PGDATABASE"]
)
assert session.table("temperatures").t.mean().execute() == 5.5
