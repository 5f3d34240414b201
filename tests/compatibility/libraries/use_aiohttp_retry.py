"""Retries of a flaky answer; address and header from the handle."""

import asyncio

from aiohttp_retry import ExponentialRetry, RetryClient

from connvault_jupyter import connection


async def main() -> None:
    handle = connection("http")
    headers = {"Authorization": f"Bearer {handle.token}"}
    async with (
        RetryClient(
            headers=headers, retry_options=ExponentialRetry(attempts=5, start_timeout=0.01)
        ) as client,
        client.get(f"{handle.base_url}/flaky") as answer,
    ):
        assert answer.status == 200


asyncio.run(main())
