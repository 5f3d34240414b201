"""A reverse proxy of thirty lines with aiohttp, which adds a header: what one would write oneself."""

from __future__ import annotations

import asyncio
import sys

import aiohttp
from aiohttp import web

_DROPPED = {"host", "content-length", "transfer-encoding", "connection"}


def main(upstream: int, port: int) -> None:
    async def relay(request: web.Request) -> web.StreamResponse:
        session: aiohttp.ClientSession = request.app["session"]
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _DROPPED}
        headers["Authorization"] = "Bearer made-up"
        async with session.request(
            request.method,
            f"http://127.0.0.1:{upstream}{request.path_qs}",
            headers=headers,
            data=request.content if request.can_read_body else None,
        ) as found:
            kept = {name: value for name, value in found.headers.items() if name.lower() != "connection"}
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(request)
            async for block in found.content.iter_any():
                await answer.write(block)
            await answer.write_eof()
            return answer

    async def run() -> None:
        app = web.Application()
        app["session"] = aiohttp.ClientSession(auto_decompress=False)
        app.router.add_route("*", "/{path:.*}", relay)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
