"""The platform is reached over TLS, with the same retries and the certificates that the user's environment names."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from novita_sdk import AsyncClient, errors
from tests.support.certificates import server_context
from tests.support.twin import ClientMaker
from tests.support.waiting import DEADLINE
from tests.support.web import serve_handler

VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


@pytest.fixture(autouse=True)
def no_bundles(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@dataclass
class Server:
    """Fails twice, then answers."""

    url: str = ""
    seen: int = 0

    async def handle(self, request: web.Request) -> web.Response:
        self.seen += 1
        return web.json_response({}, status=503 if self.seen < 3 else 200)


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    server = Server()
    with serve_handler(server.handle, server_context(certificate)) as url:
        server.url = f"{url}/v1"
        yield server


@pytest.mark.parametrize("variable", VARIABLES)
def test_reads_are_repeated_over_tls_too(
    server: Server,
    make_client: ClientMaker,
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, str(certificate))
    client = make_client(base_url=server.url, retry_budget=30.0)
    assert client.endpoint("x").health() == {}
    assert server.seen == 3


# asyncio leaves the transport of a TLS handshake that the peer broke off to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_certificate_that_nobody_vouches_for_gets_no_key(server: Server, make_client: ClientMaker) -> None:
    client = make_client(base_url=server.url, retry_budget=0.2)
    with pytest.raises(errors.TransportError, match=r"certificate verify failed.*SSL_CERT_FILE or REQUESTS_CA_BUNDLE"):
        client.endpoint("x").run({})
    assert server.seen == 0


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_an_async_client_leaves_nothing_where_the_gateway_says_no_goodbye(
    certificate: Path, monkeypatch: pytest.MonkeyPatch, make_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    asked, go_on = threading.Event(), threading.Event()

    async def stand_still(_: web.Request) -> web.Response:
        asked.set()
        go_on.wait(DEADLINE)  # with the whole loop of the server
        return web.json_response({})

    async def ask_and_give_up(url: str) -> None:
        async with AsyncClient(api_key="K", base_url=url) as client:
            asking = asyncio.ensure_future(client.endpoint("x").health())
            await asyncio.to_thread(asked.wait, DEADLINE)
            asking.cancel()
            await asyncio.wait([asking])

    with serve_handler(stand_still, server_context(certificate)) as url:
        try:
            with asyncio.Runner(loop_factory=make_loop) as runner:
                runner.run(ask_and_give_up(f"{url}/v1"))
        finally:
            go_on.set()
    gc.collect()  # what was left open says so, which is an error here
