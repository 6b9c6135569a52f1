"""A gateway on a real socket, and a plain HTTP client for it."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import pytest

from novita_gateway import Gateway, PostgresStore, Waits
from tests.support.gateway_api import Api, Connect
from tests.support.gateway_process import GatewayProcess
from tests.support.stores import dropped, new_schema


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """Starts a gateway and connects to it; both end with the test."""
    async with AsyncExitStack() as stack:

        async def connect(gateway: Gateway, *others: Gateway) -> Api:
            for each in (gateway, *others):
                await stack.enter_async_context(each)
            session = aiohttp.ClientSession(skip_auto_headers=["Content-Type"])
            return Api(gateway, await stack.enter_async_context(session), others)

        yield connect


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A module whose `STORES` says so runs its tests of `api` over each of them."""
    if "api" in metafunc.fixturenames and (kinds := getattr(metafunc.module, "STORES", None)) is not None:
        metafunc.parametrize("api", kinds, indirect=True)


@pytest.fixture
def shared(request: pytest.FixtureRequest) -> Gateways | None:
    """What makes the gateways of `api` where they share a database; set up before them, and so removed after them."""
    callspec = getattr(request.node, "callspec", None)
    if callspec is None or callspec.params.get("api") != "postgres":
        return None
    gateways: Gateways = request.getfixturevalue("gateways")
    return gateways


@pytest.fixture
async def api(request: pytest.FixtureRequest, shared: Gateways | None, connect: Connect) -> Api:
    """A gateway in memory; or two on one database, of which each call goes to the other one."""
    if shared is None:
        return await connect(Gateway())
    return await connect(*(shared() for _ in range(2)))


class Gateways(Protocol):
    """Makes gateways that share a database and their keys."""

    def __call__(self, *, waits: Waits | None = None, webhooks: bool = False, **options: Any) -> Gateway: ...


@pytest.fixture
def gateways(postgres: str) -> Iterator[Gateways]:
    """Makes gateways that share a database with nothing in it."""
    schema = new_schema()

    def make(*, waits: Waits | None = None, webhooks: bool = False, **options: Any) -> Gateway:
        store = PostgresStore(postgres, schema=schema, count_age=0, **options)
        return Gateway(store=store, api_key="k", worker_token="w", waits=waits, allow_private_webhooks=webhooks)

    with dropped(postgres, schema):
        yield make


@pytest.fixture
def process(tmp_path: Path) -> Iterator[GatewayProcess]:
    process = GatewayProcess(tmp_path / "jobs.db")
    process.start()
    yield process
    if process.process.poll() is None:
        process.stop(signal.SIGKILL)
