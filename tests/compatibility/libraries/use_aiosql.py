"""Queries from a text, with `.connect()`."""

import aiosql

from connvault_jupyter import connection

queries = aiosql.from_str("-- name: add(a, b)$\nselect :a::int + :b::int;\n", "psycopg")
assert queries.add(connection("postgresql").connect(), a=40, b=2) == 42
