"""A table that makes its own columns; by `handle.dsn`."""

import dataset

from connvault_jupyter import connection

database = dataset.connect(connection("postgresql").dsn)
database["plants"].insert({"name": "fern", "height": 40})
assert database["plants"].find_one(name="fern")["height"] == 40
