"""A Parquet data set is written and read; by `handle.env()`."""

import os

from connvault_jupyter import connection

handle = connection("s3")
os.environ.update(handle.env())
import awswrangler
import pandas as pd

frame = pd.DataFrame({"n": [1, 2, 3]})
awswrangler.s3.to_parquet(frame, "s3://tried/by-wrangler/table/", dataset=True)
assert awswrangler.s3.read_parquet("s3://tried/by-wrangler/table/", dataset=True)["n"].sum() == 6
