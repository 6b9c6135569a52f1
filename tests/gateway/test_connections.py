"""Connections that break, and what is parked when the gateway ends."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from novita_gateway import Gateway, Limits, MemoryStore


async def raw_take(gateway: Gateway, worker: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(
        f"GET /v1/ep/job-take/{worker} HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.worker_token}\r\n\r\n".encode()
    )
    await writer.drain()
    return writer


async def abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    try:
        await writer.wait_closed()
    except ConnectionError:
        return


async def test_a_parked_take_whose_connection_dropped_swallows_no_job(api: Any, eventually: Any) -> None:
    writer = await raw_take(api.gateway, "gone")

    async def is_parked() -> bool:
        return (await api.client("GET", "/v1/ep/health")).json["workers"]["idle"] == 1

    await eventually(is_parked)
    await abort(writer)
    job_id = await api.submit()
    job = await api.take("w2")
    assert (job["id"], job["attempt"]) == (job_id, 1)


async def test_takes_that_drop_while_jobs_come_lose_none(connect: Any) -> None:
    api = await connect(Gateway(store=MemoryStore(limits=Limits(lease=300, max_attempts=100))))
    ids = set()
    for index in range(60):
        writer = await raw_take(api.gateway, f"gone-{index}")
        if index % 3:
            await asyncio.sleep(0)
        submit = asyncio.ensure_future(api.submit())
        if index % 2:
            await asyncio.sleep(0.001)
        await abort(writer)
        ids.add(await submit)
    done = set()
    async with asyncio.timeout(10):
        while done != ids:
            job = await api.take("steady")
            await api.done(job["id"], b'{"output": 1}', worker="steady")
            done.add(job["id"])
    health = (await api.client("GET", "/v1/ep/health")).json["jobs"]
    assert (health["completed"], health["inQueue"], health["inProgress"]) == (60, 0, 0)


async def test_a_waiting_client_that_leaves_is_forgotten(api: Any, eventually: Any) -> None:
    job_id = await api.submit()
    waiting = asyncio.ensure_future(api.status(job_id, wait=60_000))

    async def in_flight(count: int) -> bool:
        metrics = (await api.client("GET", "/metrics")).body.decode()
        return f"novita_gateway_requests_in_flight {count}\n" in metrics

    await eventually(lambda: in_flight(2))
    waiting.cancel()
    await eventually(lambda: in_flight(1))


async def test_closing_answers_what_is_parked_and_does_not_wait_for_it() -> None:
    gateway = Gateway()
    await gateway.start()
    writers = [await raw_take(gateway, f"w{index}") for index in range(20)]
    await asyncio.sleep(0.05)
    begin = time.monotonic()
    await gateway.close()
    assert time.monotonic() - begin < 2
    for writer in writers:
        await abort(writer)


async def test_requests_on_one_connection_are_answered_in_turn(api: Any) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.gateway.port)
    for _ in range(3):
        writer.write(
            b"GET /v1/ep/health HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % api.gateway.api_key.encode()
        )
    for _ in range(3):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
        assert head.startswith(b"HTTP/1.1 200 ")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    await abort(writer)
