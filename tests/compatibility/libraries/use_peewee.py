"""A model, a row, a query; by the handle's address."""

from peewee import CharField, IntegerField, Model
from playhouse.db_url import connect

from connvault_jupyter import connection

database = connect(connection("postgresql").env()["DATABASE_URL"])


class Order(Model):
    item = CharField()
    amount = IntegerField()

    class Meta:
        database = database


database.create_tables([Order])
Order.create(item="tea", amount=3)
assert [row.item for row in Order.select().where(Order.amount > 2)] == ["tea"]
