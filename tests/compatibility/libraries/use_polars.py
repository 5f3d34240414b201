"""`read_database` with the engine, `read_database_uri` with ADBC, `write_database`."""

import polars as pl

from connvault_jupyter import connection

handle = connection("postgresql")
frame = pl.DataFrame({"n": [1, 2, 3]})
frame.write_database("numbers", handle.engine())
assert pl.read_database("select sum(n) as s from numbers", handle.engine())["s"][0] == 6
assert pl.read_database_uri("select n from numbers", handle.dsn, engine="adbc").equals(
    pl.DataFrame({"n": [1, 2, 3]}, schema={"n": pl.Int64})
)
