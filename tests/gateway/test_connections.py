"""Connections that break, and what is parked when the gateway ends."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import pytest

from novita_gateway import Gateway, Limits, ManualClock, MemoryStore, Waits, serve_in_thread
from novita_sdk.models import JobRequest, RunRequest
from tests.support.gateway_api import Api, Connect, raw_connection
from tests.support.gateway_process import GatewayProcess
from tests.support.processes import memory
from tests.support.waiting import DEADLINE, eventually_async


def take_request(gateway: Gateway, worker: str) -> bytes:
    head = f"GET /v1/ep/job-take/{worker} HTTP/1.1\r\nHost: x\r\nAuthorization: {gateway.worker_token}\r\n\r\n"
    return head.encode()


async def raw_take(gateway: Gateway, worker: str) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(take_request(gateway, worker))
    await writer.drain()
    return writer


async def abort(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    try:
        await writer.wait_closed()
    except ConnectionError:
        return


async def test_a_parked_take_whose_connection_dropped_swallows_no_job(api: Api) -> None:
    writer = await raw_take(api.gateway, "gone")

    async def is_parked() -> bool:
        return bool((await api.client("GET", "/v1/ep/health")).json["workers"]["idle"] == 1)

    await eventually_async(is_parked)
    await abort(writer)
    job_id = await api.submit()
    job = await api.take("w2")
    assert (job["id"], job["attempt"]) == (job_id, 1)


async def test_takes_that_drop_while_jobs_come_lose_none(connect: Connect) -> None:
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
    done: set[str] = set()
    async with asyncio.timeout(DEADLINE):
        while done != ids:
            job = await api.take("steady")
            await api.done(job["id"], b'{"output": 1}', worker="steady")
            done.add(job["id"])
    health = (await api.client("GET", "/v1/ep/health")).json["jobs"]
    assert (health["completed"], health["inQueue"], health["inProgress"]) == (60, 0, 0)


async def test_a_waiting_client_that_leaves_is_forgotten(api: Api) -> None:
    job_id = await api.submit()
    waiting = asyncio.ensure_future(api.status(job_id, wait=60_000))

    async def in_flight(count: int) -> bool:
        metrics = (await api.client("GET", "/metrics")).body.decode()
        return f"novita_gateway_requests_in_flight {count}\n" in metrics

    await eventually_async(lambda: in_flight(2))
    waiting.cancel()
    await eventually_async(lambda: in_flight(1))


async def test_closing_answers_what_is_parked_and_does_not_wait_for_it(connect: Connect) -> None:
    api = await connect(Gateway(waits=Waits(take=3_600_000)))
    writers = [await raw_take(api.gateway, f"w{index}") for index in range(20)]

    async def all_are_parked() -> bool:
        return bool((await api.client("GET", "/v1/ep/health")).json["workers"]["idle"] == 20)

    await eventually_async(all_are_parked)
    await asyncio.wait_for(api.gateway.close(), DEADLINE)
    for writer in writers:
        await abort(writer)


def test_connections_that_come_while_it_closes_do_not_hang() -> None:
    is_over = threading.Event()

    def connect_again_and_again(port: int) -> None:
        while not is_over.is_set():
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as connection:
                connection.settimeout(10)
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                while connection.recv(4096):
                    pass

    for _ in range(5):
        is_over.clear()
        with ThreadPoolExecutor(6) as pool:
            with serve_in_thread() as gateway:
                callers = [pool.submit(connect_again_and_again, gateway.port) for _ in range(6)]
                time.sleep(0.02)
            is_over.set()
            for caller in callers:
                caller.result()


async def test_a_reader_that_takes_nothing_is_cut_off_and_gives_its_job_back(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novita_gateway.http.connections.STALL", 0.1)
    api = await connect(Gateway())
    job_id = await api.submit(b'{"input": "' + b"x" * 4_000_000 + b'"}')
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", api.gateway.port))
        deaf.sendall(take_request(api.gateway, "deaf"))
        job = await asyncio.wait_for(api.take("w2"), DEADLINE)
    assert (job["id"], job["attempt"]) == (job_id, 1)


async def test_a_reader_that_is_slow_gets_it_all(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("novita_gateway.http.connections.STALL", 1.0)
    api = await connect(Gateway())
    for listener in api.gateway._listener.sockets:  # connections inherit it: less is between gateway and reader
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    job_id = await api.submit()
    await api.take()
    await api.done(job_id, b'{"output": "' + b"x" * 4_000_000 + b'"}')
    slow = socket.create_connection(("127.0.0.1", api.gateway.port))
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # so that what it does not read stays with the gateway
    reader, writer = await asyncio.open_connection(sock=slow)
    writer.write(
        f"GET /v1/ep/status/{job_id} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: {api.gateway.api_key}\r\n\r\n".encode()
    )
    size, begin = 0, time.monotonic()
    while part := await asyncio.wait_for(reader.read(100_000), DEADLINE):
        size += len(part)
        if time.monotonic() - begin < 1.2:  # longer than a reader may take nothing
            await asyncio.sleep(0.1)
    assert size > 4_000_000
    writer.close()
    await writer.wait_closed()


async def test_a_ping_may_name_as_many_jobs_as_a_batch_take_gives(connect: Connect) -> None:
    clock = ManualClock()
    store = MemoryStore(limits=Limits(lease=10_000), clock=clock)
    ids = [(await store.submit(RunRequest(endpoint="ep", request=JobRequest(input=b"1")))).id for _ in range(1000)]
    api = await connect(Gateway(store=store))
    taken = await api.worker("GET", "/v1/ep/job-take-batch/w1?batch_size=1000")
    assert len(taken.json) == 1000
    for _ in range(2):
        clock.advance(9)
        assert (await api.worker("GET", f"/v1/ep/ping/w1?job_id={'%2C'.join(ids)}")).status == 200
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inProgress"] == 1000


async def test_parked_requests_cost_little_memory(process: GatewayProcess) -> None:
    async def park(path: str, key: str) -> asyncio.StreamWriter:
        _, writer = await asyncio.open_connection("127.0.0.1", process.port)
        writer.write(f"GET /v1/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode())
        return writer

    url, count = f"http://127.0.0.1:{process.port}", 1000
    async with aiohttp.ClientSession(headers={"Authorization": "k"}) as session:

        async def all_are_parked() -> bool:
            async with session.get(f"{url}/metrics") as reply:
                return f"_requests_in_flight {count + 1}\n" in await reply.text()

        async with session.post(f"{url}/v1/held/run", json={"input": 1}) as reply:
            job_id = (await reply.json())["id"]
        before = memory(process.process.pid)
        writers = []
        for index in range(count // 2):
            writers += [await park(f"ep/job-take/w{index}", "w"), await park(f"held/status/{job_id}?wait=60000", "k")]
        await eventually_async(all_are_parked)
        assert (memory(process.process.pid) - before) / count < 24, "KiB for each"
        for writer in writers:
            await abort(writer)


async def test_requests_on_one_connection_are_answered_in_turn(api: Api) -> None:
    async with raw_connection(api.gateway) as (reader, writer):
        for _ in range(3):
            writer.write(
                b"GET /v1/ep/health HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n\r\n" % api.gateway.api_key.encode()
            )
        for _ in range(3):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 ")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
