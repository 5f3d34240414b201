"""A migration's operations, and one taken back; with the handle's engine."""

import sqlalchemy
from alembic.migration import MigrationContext
from alembic.operations import Operations

from connvault_jupyter import connection

with connection("postgresql").engine().begin() as session:
    operations = Operations(MigrationContext.configure(session))
    operations.create_table("migrated", sqlalchemy.Column("id", sqlalchemy.Integer))
    operations.add_column("migrated", sqlalchemy.Column("name", sqlalchemy.Text))
    names = [column["name"] for column in sqlalchemy.inspect(session).get_columns("migrated")]
    assert names == ["id", "name"]
    operations.drop_table("migrated")
