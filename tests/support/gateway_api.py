"""A plain HTTP client of a gateway."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from novita_gateway import Gateway
from tests.support.waiting import DEADLINE


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
    """Calls a gateway as clients and workers do, byte for byte.

    Attributes:
        gateway: The gateway.
        session: Its connections.
        others: Gateways with the same keys and store: each call goes to the next one of all.
    """

    gateway: Gateway
    session: aiohttp.ClientSession
    others: Sequence[Gateway] = ()
    calls: int = 0

    async def client(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        return await self.call(verb, path, body, Authorization=f"Bearer {self.gateway.api_key}", **headers)

    async def worker(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        return await self.call(verb, path, body, Authorization=self.gateway.worker_token, **headers)

    async def call(self, verb: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        gateways = (self.gateway, *self.others)
        url = gateways[self.calls % len(gateways)].url.removesuffix("/v1") + path
        self.calls += 1
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(verb, url, data=body and io.BytesIO(body), headers=named) as response:
            return Reply(response.status, await response.read(), {**response.headers})

    async def submit(self, body: bytes = b'{"input": 1}', endpoint: str = "ep", **headers: str) -> str:
        reply = await self.client("POST", f"/v1/{endpoint}/run", body, **headers)
        assert reply.status == 200, reply.body
        assert reply.json["status"] == "PENDING"
        job_id: str = reply.json["id"]
        return job_id

    async def take(self, worker: str = "pod1", endpoint: str = "ep") -> Any:
        reply = await self.worker("GET", f"/v1/{endpoint}/job-take/{worker}")
        return reply.json if reply.status == 200 else None

    async def done(self, job_id: str, body: bytes, worker: str = "pod1", endpoint: str = "ep") -> Reply:
        return await self.worker("POST", f"/v1/{endpoint}/job-done/{worker}/{job_id}?isStream=false", body)

    async def status(self, job_id: str, endpoint: str = "ep", wait: int | None = None) -> Any:
        query = "" if wait is None else f"?wait={wait}"
        return (await self.client("GET", f"/v1/{endpoint}/status/{job_id}{query}")).json


class Connect(Protocol):
    """Starts a gateway and connects to it; both end with the test."""

    async def __call__(self, gateway: Gateway, *others: Gateway) -> Api: ...


@asynccontextmanager
async def raw_connection(gateway: Gateway) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection for bytes as they stand; the block has to end in time."""
    async with asyncio.timeout(DEADLINE):
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        yield reader, writer
        writer.close()
        await writer.wait_closed()
