"""The server of a bench, in a process of its own: gateway_server.py bare | memory | durable FILE | postgres DSN SCHEMA.

Prints its port. Then answers every line on stdin: `rss` with its resident memory in KiB, `cpu` with its CPU seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

CONSTANT = b'{"id":"d5c7096bcf79dda72f24ba49","status":"IN_PROGRESS","retries":0}'


async def start_bare() -> int:
    """The least that aiohttp can be: one handler, one constant."""
    from aiohttp import web

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.body_exists:
            await request.read()
        return web.Response(body=CONSTANT, headers={"Content-Type": "application/json"})

    runner = web.ServerRunner(web.Server(handle, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    return int(runner.addresses[0][1])


async def start_gateway(kind: str, place: list[str]) -> int:
    from novita_gateway import Gateway, MemoryStore, PostgresStore, SQLiteStore, Waits

    match kind:
        case "memory":
            store = MemoryStore()
        case "durable":
            store = SQLiteStore(place[0])
        case _:
            store = PostgresStore(place[0], schema=place[1])
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    gateway = Gateway(
        store=store, api_key="K", worker_token="W", webhook_secret=secret, waits=Waits(take=600_000, status=600_000)
    )
    await gateway.start()
    return gateway.port


def rss() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 1024


async def main() -> None:
    kind, *place = sys.argv[1:]
    port = await (start_bare() if kind == "bare" else start_gateway(kind, place))
    print(port, flush=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print({"rss": rss, "cpu": time.process_time}[line.strip()](), flush=True)


asyncio.run(main())
