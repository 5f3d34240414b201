"""A table is written, appended to, read; `storage_options` of `handle.env()`."""

import pandas as pd
from deltalake import DeltaTable, write_deltalake

from connvault_jupyter import connection

handle = connection("s3")
options = handle.env()
for mode in ("overwrite", "append"):
    write_deltalake(
        "s3://tried/by-deltalake/t", pd.DataFrame({"n": [1, 2]}), mode=mode, storage_options=options
    )
assert DeltaTable("s3://tried/by-deltalake/t", storage_options=options).to_pandas()["n"].sum() == 6
