"""A model kept as a hash; with `handle.client()`."""

import os

os.environ["REDIS_OM_URL"] = ""
from redis_om import HashModel

from connvault_jupyter import connection


class Customer(HashModel, index=True):
    name: str

    class Meta:
        database = connection("redis").client(decode_responses=True)


kept = Customer(name="Anna")
kept.save()
assert Customer.get(kept.pk).name == "Anna"
