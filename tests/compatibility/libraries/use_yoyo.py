"""A migration from a folder, applied and taken back; by `handle.env()['DATABASE_URL']`."""

import tempfile
from pathlib import Path

from yoyo import get_backend, read_migrations

from connvault_jupyter import connection

folder = Path(tempfile.mkdtemp())
(folder / "0001.py").write_text(
    "from yoyo import step\nsteps = [step('create table yoyo_made (id int)', 'drop table yoyo_made')]\n"
)
address = connection("postgresql").env()["DATABASE_URL"].replace("postgresql:", "postgresql+psycopg:", 1)
backend, migrations = get_backend(address), read_migrations(str(folder))
with backend.lock():
    backend.apply_migrations(backend.to_apply(migrations))
    assert not backend.to_apply(migrations)
    backend.rollback_migrations(backend.to_rollback(migrations))
