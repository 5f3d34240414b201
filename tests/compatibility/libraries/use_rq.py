"""A job by a worker in burst mode; with `handle.client()`."""

from operator import add

from rq import Queue, SimpleWorker

from connvault_jupyter import connection

client = connection("redis").client()
job = Queue(connection=client).enqueue(add, 40, 2)
SimpleWorker([Queue(connection=client)], connection=client).work(burst=True)
assert job.return_value() == 42
