"""A moving window; by the loopback port of `handle.env(tcp=True)`."""

from limits import parse
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter

from connvault_jupyter import connection

storage = storage_from_string(connection("redis").env(tcp=True)["REDIS_URL"])
limiter = MovingWindowRateLimiter(storage)
assert limiter.hit(parse("1/minute"), "someone")
assert not limiter.hit(parse("1/minute"), "someone")
