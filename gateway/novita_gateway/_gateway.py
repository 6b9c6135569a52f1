"""The gateway as one object: a store behind an HTTP server."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from novita_gateway._auth import Keys, new_key
from novita_gateway._errors import BadRequestError
from novita_gateway._http import MAX_BODY, Door
from novita_gateway._memory_store import MemoryStore
from novita_gateway._service import Service, Waits
from novita_gateway._store import Store
from novita_gateway._worker_env import Flavour, worker_env

__all__ = ["Gateway", "serve_in_thread"]

KEEPALIVE: Final = 75.0
"""Seconds that a connection may be idle, or take for the head of a request."""


class Gateway:
    """Serves the platform's protocol on one port.

    Use it as an async context manager, or call `start` and `close`.

    Args:
        store: Keeps the jobs; left out, a `MemoryStore`.
        host: Address to listen on. Anything but loopback needs both keys.
        port: 0 for a free one.
        api_key: What clients send; left out, one is made.
        worker_token: What workers send; left out, one is made.
        waits: How long takes and waits are parked.
        body_timeout: Seconds in which the body of a request must have arrived.

    Raises:
        ValueError: The host is not loopback and a key is missing.
    """

    def __init__(
        self,
        *,
        store: Store | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str | None = None,
        worker_token: str | None = None,
        waits: Waits | None = None,
        body_timeout: float = 30.0,
    ) -> None:
        if not _is_loopback(host) and (api_key is None or worker_token is None):
            raise ValueError(
                f"refusing to listen on {host!r} without keys: others could reach it; pass api_key and worker_token"
            )
        self.store: Final[Store] = MemoryStore() if store is None else store
        self.api_key: Final = new_key("key") if api_key is None else api_key
        self.worker_token: Final = new_key("worker") if worker_token is None else worker_token
        self._host = host
        self._port = port
        self._waits = Waits() if waits is None else waits
        self._body_timeout = body_timeout
        self._runner: web.ServerRunner | None = None

    def __repr__(self) -> str:
        return f"<Gateway {self.url if self._runner else 'not started'}>"

    @property
    def url(self) -> str:
        """The base URL for clients, such as `http://127.0.0.1:8000/v1`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    def worker_env(self, endpoint: str, flavour: Flavour = "novita", worker_id: str | None = None) -> dict[str, str]:
        """The environment variables that connect a worker; see `novita_gateway.worker_env`."""
        return worker_env(endpoint, url=self.url, token=self.worker_token, flavour=flavour, worker_id=worker_id)

    async def start(self) -> None:
        """Opens the store and listens.

        Raises:
            OSError: The port is taken, or the host is not one of this machine.
        """
        await self.store.open()
        service = Service(self.store, waits=self._waits, check_webhook=_refuse_webhook)
        keys = Keys(api_keys=[self.api_key], worker_tokens=[self.worker_token])
        door = Door(service, keys, max_wait=self._waits.status, body_timeout=self._body_timeout, pages={})
        server = web.Server(
            door,
            request_factory=_make_request,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=KEEPALIVE,
        )
        runner = web.ServerRunner(server, shutdown_timeout=2.0)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host, self._port, backlog=4096).start()
        except OSError:
            await runner.cleanup()
            await self.store.close()
            raise
        self._port = runner.addresses[0][1]
        self._runner = runner

    async def close(self) -> None:
        """Stops listening, answers what is parked, and closes the store."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        for site in list(runner.sites):
            await site.stop()
        await self.store.close()
        await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


@contextmanager
def serve_in_thread(make_gateway: Callable[[], Gateway] = Gateway) -> Iterator[Gateway]:
    """Runs a gateway on an event loop in a thread of its own, for synchronous callers.

    Args:
        make_gateway: Makes the gateway, in that thread.

    Raises:
        Exception: Whatever making or starting the gateway raises.
    """
    started: list[Gateway] = []
    failed: list[BaseException] = []
    ready = threading.Event()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(stopped.set))
        async with make_gateway() as gateway:
            started.append(gateway)
            ready.set()
            await stopped.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            failed.append(error)
        finally:
            ready.set()

    thread = threading.Thread(target=run, name="novita-gateway", daemon=True)
    thread.start()
    ready.wait()
    try:
        if started:
            yield started[0]
    finally:
        if started and not failed:
            stop[0]()
        thread.join()
        if failed:
            raise failed[0]


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY + 1)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_webhook(url: str) -> None:
    raise BadRequestError(f"webhook {url[:100]!r}: this gateway calls no webhooks")
