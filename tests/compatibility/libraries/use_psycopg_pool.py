"""A pool of eight under twenty threads; by `handle.dsn`."""

from concurrent.futures import ThreadPoolExecutor

from psycopg_pool import ConnectionPool

from connvault_jupyter import connection


def squared(number: int) -> int:
    with pool.connection() as session:
        return int(session.execute("select %s * %s", (number, number)).fetchone()[0])


with (
    ConnectionPool(connection("postgresql").dsn, min_size=2, max_size=8) as pool,
    ThreadPoolExecutor(20) as threads,
):
    assert list(threads.map(squared, range(60))) == [number**2 for number in range(60)]
