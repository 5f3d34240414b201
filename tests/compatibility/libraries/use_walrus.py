"""A hash, a list, a rate limit; its client is one of redis-py, by the address of `handle.url`."""

from walrus import Walrus

from connvault_jupyter import connection

database = Walrus.from_url(connection("redis").url)
database.Hash("settings").update(colour="green")
assert database.Hash("settings")["colour"] == b"green"
assert not database.rate_limit("logins", limit=1, per=60).limit("someone")
