"""`read_sql` in four partitions; by the loopback port."""

import connectorx

from connvault_jupyter import connection

handle = connection("postgresql")
handle.connect(autocommit=True).execute("create table parts as select generate_series(1, 100) as n")
address = handle.env(tcp=True)["DATABASE_URL"]
frame = connectorx.read_sql(address, "select n from parts", partition_on="n", partition_num=4)
assert frame["n"].sum() == 5050
