"""The packages' own work never waits behind the threads of a user's loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from novita_gateway import Gateway, serve_in_thread
from novita_sdk import AsyncClient
from novita_sdk.files import File
from novita_sdk.threads import Threads
from novita_testing import embedded
from tests.support.waiting import DEADLINE


class Crowd:
    """Gives the running loop a default executor of one thread, and keeps that busy until it is let go."""

    def __init__(self) -> None:
        self._done = threading.Event()

    def fill(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        loop.run_in_executor(None, self._done.wait, DEADLINE)

    def let_go(self) -> None:
        self._done.set()


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    crowd = Crowd()
    yield crowd
    crowd.let_go()


def test_a_worker_uploads_while_the_handlers_threads_are_busy(crowd: Crowd) -> None:
    async def handler(job: dict[str, Any]) -> dict[str, Any]:
        crowd.fill()
        return {"file": File.from_bytes(b"content", name="a.bin")}

    with embedded(handler) as endpoint:
        assert endpoint.run_sync({}, timeout=30)["file"].read() == b"content"
        crowd.let_go()


def test_a_worker_uploads_a_chunk_while_the_handlers_threads_are_busy(crowd: Crowd) -> None:
    async def handler(job: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        crowd.fill()
        yield {"file": File.from_bytes(b"content", name="a.bin")}

    with embedded(handler) as endpoint:
        (chunk,) = endpoint.run({}).stream(timeout=30)
        assert chunk["file"].read() == b"content"
        crowd.let_go()


def test_a_client_uploads_and_looks_up_names_while_its_users_threads_are_busy(crowd: Crowd) -> None:
    async def use(gateway: Gateway) -> None:
        crowd.fill()
        url = gateway.url.replace("127.0.0.1", "localhost")
        async with AsyncClient(api_key=gateway.api_key, base_url=url) as client, asyncio.timeout(30):
            job = await client.endpoint("ep").run({"file": File.from_bytes(b"content", name="a.bin")})
            assert await job.cancel()
            crowd.let_go()

    with serve_in_thread() as gateway:
        asyncio.run(use(gateway))


def test_a_thread_takes_the_context_and_any_error_along() -> None:
    threads = Threads("test", 1)

    def stop() -> None:
        raise StopIteration

    async def use() -> None:
        assert await threads.run(sum, [1, 2], start=3) == 6
        with pytest.raises(RuntimeError, match="StopIteration"):
            await asyncio.wait_for(threads.run(stop), DEADLINE)

    asyncio.run(use())
