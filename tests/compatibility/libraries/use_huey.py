"""A task and its result; with the connection pool of `handle.client()`."""

from huey import RedisHuey

from connvault_jupyter import connection

huey = RedisHuey(connection_pool=connection("redis").client().connection_pool)


@huey.task()
def add(a: int, b: int) -> int:
    return a + b


result = add(40, 2)
huey.execute(huey.dequeue())
assert result() == 42
