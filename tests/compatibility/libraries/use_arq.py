"""A job by a worker in burst mode; by the parts of `handle.env(tcp=True)`."""

import asyncio

from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker

from connvault_jupyter import connection


async def add(_context: dict, a: int, b: int) -> int:
    return a + b


async def main() -> None:
    settings = RedisSettings.from_dsn(connection("redis").env(tcp=True)["REDIS_URL"])
    pool = await create_pool(settings)
    job = await pool.enqueue_job("add", 40, 2)
    worker = Worker(functions=[add], redis_pool=pool, burst=True, handle_signals=False)
    await worker.async_run()
    assert await job.result(timeout=10) == 42


asyncio.run(main())
