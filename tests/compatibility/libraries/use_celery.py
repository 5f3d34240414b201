"""A worker of its own takes a task and stores its result; broker and backend by `handle.env(tcp=True)`."""

import os

from celery import Celery
from celery.contrib.testing.worker import start_worker

from connvault_jupyter import connection

address = connection("redis").env(tcp=True)["REDIS_URL"]
app = Celery("tasks", broker=address, backend=address)


@app.task
def add(a: int, b: int) -> int:
    return a + b


with start_worker(app, perform_ping_check=False, pool="solo"):
    assert add.delay(40, 2).get(timeout=20) == 42
os._exit(0)
