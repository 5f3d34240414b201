"""An actor by a worker, and its result; with `handle.client()`."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from connvault_jupyter import connection

client = connection("redis").client()
broker = RedisBroker(client=client)
broker.add_middleware(Results(backend=RedisBackend(client=client)))
dramatiq.set_broker(broker)


@dramatiq.actor(store_results=True)
def add(a: int, b: int) -> int:
    return a + b


worker = dramatiq.Worker(broker, worker_timeout=100, worker_threads=1)
worker.start()
assert add.send(40, 2).get_result(block=True, timeout=20_000) == 42
worker.stop()
