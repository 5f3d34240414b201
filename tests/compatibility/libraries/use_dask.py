"""`read_sql_table` in partitions; by `handle.dsn` with SQLAlchemy's driver in it."""

import dask.dataframe

from connvault_jupyter import connection

handle = connection("postgresql")
handle.connect(autocommit=True).execute(
    "create table events as select n as id, n * 2 as twice from generate_series(1, 100) as n"
)
address = handle.dsn.replace("postgresql:", "postgresql+psycopg:", 1)
frame = dask.dataframe.read_sql_table("events", address, index_col="id", npartitions=3)
assert frame["twice"].sum().compute(scheduler="threads") == 10100
