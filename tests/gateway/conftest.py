"""A gateway on a real socket, and a plain HTTP client for it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from novita_gateway import Gateway
from tests.support.gateway_api import Api, Connect
from tests.support.gateway_process import GatewayProcess


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
def process(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path / "jobs.db")
    process.start()
    yield process
    if process.process.poll() is None:
        process.stop(signal.SIGKILL)
