"""`write_parquet` and `scan_parquet` of a bucket; `storage_options` of `handle.env()`."""

import polars as pl

from connvault_jupyter import connection

handle = connection("s3")
options = {name.lower(): value for name, value in handle.env().items()}
pl.DataFrame({"n": [1, 2, 3]}).write_parquet("s3://tried/by-polars/t.parquet", storage_options=options)
assert pl.scan_parquet("s3://tried/by-polars/t.parquet", storage_options=options).sum().collect()["n"][0] == 6
