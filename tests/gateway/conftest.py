"""A gateway on a real socket, and a plain HTTP client for it."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from novita_gateway import Gateway


@dataclass
class Reply:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """Calls a gateway as clients and workers do, byte for byte."""

    gateway: Gateway
    session: aiohttp.ClientSession

    async def client(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        return await self.call(verb, path, body, Authorization=f"Bearer {self.gateway.api_key}", **headers)

    async def worker(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        return await self.call(verb, path, body, Authorization=self.gateway.worker_token, **headers)

    async def call(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        url = self.gateway.url.removesuffix("/v1") + path
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(verb, url, data=body and io.BytesIO(body), headers=named) as response:
            return Reply(response.status, await response.read(), {**response.headers})

    async def submit(self, body: bytes = b'{"input": 1}', endpoint: str = "ep", **headers: str) -> str:
        reply = await self.client("POST", f"/v1/{endpoint}/run", body, **headers)
        assert reply.status == 200, reply.body
        assert reply.json["status"] == "PENDING"
        return reply.json["id"]

    async def take(self, worker: str = "pod1", endpoint: str = "ep") -> Any:
        reply = await self.worker("GET", f"/v1/{endpoint}/job-take/{worker}")
        return reply.json if reply.status == 200 else None

    async def done(self, job_id: str, body: bytes, worker: str = "pod1", endpoint: str = "ep") -> Reply:
        return await self.worker("POST", f"/v1/{endpoint}/job-done/{worker}/{job_id}?isStream=false", body)

    async def status(self, job_id: str, endpoint: str = "ep", wait: int | None = None) -> Any:
        query = "" if wait is None else f"?wait={wait}"
        return (await self.client("GET", f"/v1/{endpoint}/status/{job_id}{query}")).json


class Connect(Protocol):
    async def __call__(self, gateway: Gateway) -> Api: ...


class Eventually(Protocol):
    async def __call__(self, condition: Callable[[], Any], *, within: float = 5.0) -> Any: ...


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Starts a gateway and connects to it; both end with the test."""
    async with AsyncExitStack() as stack:

        async def connect(gateway: Gateway) -> Api:
            await stack.enter_async_context(gateway)
            session = aiohttp.ClientSession(skip_auto_headers=["Content-Type"])
            return Api(gateway, await stack.enter_async_context(session))

        yield connect


@pytest.fixture
async def api(connect: Connect) -> Api:
    return await connect(Gateway())


@pytest.fixture
def eventually() -> Eventually:
    """Waits for a condition, which may be a coroutine function, and returns its value."""

    async def eventually(condition: Callable[[], Any], *, within: float = 5.0) -> Any:
        async with asyncio.timeout(within):
            while True:
                value = condition()
                if asyncio.iscoroutine(value):
                    value = await value
                if value:
                    return value
                await asyncio.sleep(0.005)

    return eventually


PROGRAM = """
import sys
from novita_gateway import Gateway, Limits, SQLiteStore, serve_forever
store = SQLiteStore(sys.argv[1], limits=Limits(lease=1500))
serve_forever(
    lambda: Gateway(store=store, port=int(sys.argv[2]), api_key="k", worker_token="w"),
    on_start=lambda gateway: print(gateway.port, flush=True),
)
"""


class Process:
    """A gateway in a process of its own, which can be killed and started again on the same port.

    Its keys are `k` and `w`, its lease is 1.5 s.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.port = 0

    def start(self) -> None:
        command = [sys.executable, "-c", PROGRAM, str(self.path), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def stop(self, number: int) -> int:
        self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(10)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    process = Process(tmp_path / "jobs.db")
    process.start()
    yield process
    if process.process.poll() is None:
        process.stop(signal.SIGKILL)
