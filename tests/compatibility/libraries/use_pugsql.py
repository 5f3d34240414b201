"""Queries from files in a folder; `pugsql` makes its own engine from `handle.dsn`."""

import tempfile
from pathlib import Path

import pugsql

from connvault_jupyter import connection

folder = Path(tempfile.mkdtemp())
(folder / "add.sql").write_text("-- :name add :scalar\nselect cast(:a as int) + cast(:b as int)\n")
queries = pugsql.module(str(folder))
queries.connect(connection("postgresql").dsn.replace("postgresql:", "postgresql+psycopg:", 1))
assert queries.add(a=40, b=2) == 42
