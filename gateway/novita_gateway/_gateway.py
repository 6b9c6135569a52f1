"""The gateway as one object: a store behind an HTTP server."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from novita_gateway._service import Service, Waits
from novita_gateway._worker_env import Flavour, worker_env
from novita_gateway.files.announcements import Files
from novita_gateway.files.bucket import BucketRoutes, NoRoutes
from novita_gateway.files.public_url import LOOPBACK, PublicUrl
from novita_gateway.files.routes import FileRoutes
from novita_gateway.http.app import App, Page
from novita_gateway.http.auth import Keys, Role, check_key, kept_keys, new_key
from novita_gateway.http.connections import Server
from novita_gateway.http.faults import FaultInjector, Faults
from novita_gateway.http.listener import Listener
from novita_gateway.http.metrics import CONTENT_TYPE, Metrics
from novita_gateway.http.open_files import room_for_connections
from novita_gateway.http.openapi import openapi
from novita_gateway.store.memory import MemoryStore
from novita_gateway.store.protocol import SharedStore, Store
from novita_gateway.webhooks.sender import WebhookSender, new_secret
from novita_sdk.storage.places import Bucket, configured_bucket
from novita_sdk.wire.names import check_endpoint

__all__ = ["Gateway"]

_log = logging.getLogger("novita_gateway")

_API_KEY: Final = "NOVITA_GATEWAY_API_KEY"
_WORKER_TOKEN: Final = "NOVITA_GATEWAY_WORKER_TOKEN"  # noqa: S105 - the variable's name
_WEBHOOK_SECRET: Final = "NOVITA_GATEWAY_WEBHOOK_SECRET"  # noqa: S105 - the variable's name
_MAKERS: Final[Mapping[str, Callable[[], str]]] = {
    _API_KEY: partial(new_key, "key"),
    _WORKER_TOKEN: partial(new_key, "worker"),
    _WEBHOOK_SECRET: new_secret,
}
"""By the variables that the command line reads, so that a file of them can be sourced for it."""


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
        webhook_secret: Signs webhooks, `whsec_…`; left out, one is made.
        allow_private_webhooks: Whether webhooks may reach private addresses.
        files: Directory or bucket for files that travel beside jobs; left out, a directory that is removed in the end,
            or with a store of several gateways the bucket that the environment names, or none. Gateways of one store
            keep them in one place; the start looks whether they do.
        public_url: Where others reach the gateway, such as `https://gateway.example.com`: the address of the links to
            those files. Left out, it is what each request names as its host.
        trusted_proxies: Addresses or networks of reverse proxies; what they say in `X-Forwarded-Proto` and
            `X-Forwarded-Host` counts for such links, and nobody else's word; left out, those of this machine.
        keys_file: Keeps the keys and the secret that were not given, so that a restart has the same; left out, they go
            with the gateway.
        open_endpoint: An endpoint that everybody who reaches the port may call, without its name and without a key:
            `/run`, `/status/{id}` and so on. For work on one machine.
        faults: What is to go wrong on purpose.

    Attributes:
        api_key: For clients.
        worker_token: For workers.
        webhook_secret: For who receives webhooks.

    Raises:
        OSError: The file of the keys can't be read or written.
        UploadError: The environment names a bucket, and not as one can be named.
        ValueError: The host is not loopback and a key is missing; a store of several gateways, and one is not given;
            or a key, the secret, the public URL or a proxy can't be one.
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
        webhook_secret: str | None = None,
        allow_private_webhooks: bool = False,
        files: Path | Bucket | None = None,
        public_url: str | None = None,
        trusted_proxies: Sequence[str] | None = None,
        keys_file: Path | None = None,
        open_endpoint: str | None = None,
        faults: Faults | None = None,
    ) -> None:
        if not _is_loopback(host) and (api_key is None or worker_token is None):
            raise ValueError(
                f"refusing to listen on {host!r} without keys: others could reach it; pass api_key and worker_token"
            )
        self.store: Final[Store] = MemoryStore() if store is None else store
        if (
            isinstance(self.store, SharedStore)
            and keys_file is None
            and None in {api_key, worker_token, webhook_secret}
        ):
            raise ValueError(
                "gateways that share a store need the same keys and secret: pass api_key, worker_token and"
                " webhook_secret to each"
            )
        made = _make_keys(keys_file, {_API_KEY: api_key, _WORKER_TOKEN: worker_token, _WEBHOOK_SECRET: webhook_secret})
        self.api_key: Final = made[_API_KEY] if api_key is None else check_key("api_key", api_key)
        self.worker_token: Final = (
            made[_WORKER_TOKEN] if worker_token is None else check_key("worker_token", worker_token)
        )
        if self.api_key == self.worker_token:
            raise ValueError("api_key and worker_token must differ: each opens what the other must not")
        self.webhook_secret: Final = made[_WEBHOOK_SECRET] if webhook_secret is None else webhook_secret
        self._sender = WebhookSender(self.store, secret=self.webhook_secret, allow_private=allow_private_webhooks)
        self._sending: asyncio.Task[None] | None = None
        self._public_url = PublicUrl(public_url, LOOPBACK if trusted_proxies is None else trusted_proxies)
        self._files = self._make_files(files, body_timeout)
        self._faults = faults
        self._open_endpoint = None if open_endpoint is None else check_endpoint(open_endpoint)
        self._host = host
        self._port = port
        self._waits = Waits() if waits is None else waits
        self._body_timeout = body_timeout
        self._runner: web.ServerRunner | None = None
        self._listener: Listener

    def __repr__(self) -> str:
        return f"<Gateway {self.url if self._runner else 'not started'}>"

    @property
    def port(self) -> int:
        """The port; one that was chosen freely is known after the start."""
        return self._port

    @property
    def url(self) -> str:
        """The base URL for clients, such as `http://127.0.0.1:8000/v1`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}/v1"

    @property
    def public_url(self) -> str:
        """The base URL for clients elsewhere: below the `public_url` that was given, else the same as `url`."""
        return f"{self._public_url}/v1" if str(self._public_url) else self.url

    def worker_env(self, endpoint: str, flavour: Flavour = "novita", worker_id: str | None = None) -> dict[str, str]:
        """The environment variables that connect a worker; see `novita_gateway.worker_env`."""
        # Two heartbeats may be lost before a lease is.
        interval = min(10.0, max(1.0, self.store.lease / 3000))
        return worker_env(
            endpoint,
            url=self.url,
            token=self.worker_token,
            flavour=flavour,
            worker_id=worker_id,
            ping_interval=interval,
        )

    async def start(self) -> None:
        """Opens the store and listens.

        Raises:
            OSError: The port is taken, or the host is not one of this machine.
        StoreError: The job store or the place of the files can't be used.
        """
        await self.store.open()
        server = Server(self._app())
        runner = web.ServerRunner(server, shutdown_timeout=2.0)
        try:
            await self._files.open(self.store if isinstance(self.store, SharedStore) else None)
            await runner.setup()
            self._listener = Listener(server, room_for_connections())
            self._port = await self._listener.start(self._host, self._port)
        except BaseException:
            await runner.cleanup()
            await self.store.close()
            raise
        self._runner = runner
        self._sending = asyncio.create_task(self._sender.run(), name="novita-gateway-webhooks")
        self._sending.add_done_callback(_report)

    async def close(self) -> None:
        """Stops listening, answers what is parked, and closes the store."""
        if self._runner is None:
            return
        runner, self._runner = self._runner, None
        await self._listener.stop()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        await self.store.close()
        await runner.cleanup()
        self._files.close()

    def _make_files(self, place: Path | Bucket | None, timeout: float) -> Files:
        if place is None and isinstance(self.store, SharedStore):
            place = configured_bucket()
            if place is None:
                return NoRoutes()
        if isinstance(place, Bucket):
            return BucketRoutes(place)
        return FileRoutes(place, timeout=timeout, public_url=self._public_url)

    def _app(self) -> App:
        metrics = Metrics(self.store)
        return App(
            Service(self.store, waits=self._waits, check_webhook=self._sender.check),
            Keys(api_keys=[self.api_key], worker_tokens=[self.worker_token]),
            metrics,
            max_wait=self._waits.status,
            body_timeout=self._body_timeout,
            pages={
                "/healthz": Page(content_type="application/json", make=_healthy),
                "/openapi.json": Page(content_type="application/json", make=_description),
                "/metrics": Page(content_type=CONTENT_TYPE, make=metrics.text, role=Role.CLIENT),
            },
            files=self._files,
            faults=None if self._faults is None else FaultInjector(self._faults),
            open_endpoint=self._open_endpoint,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def _make_keys(file: Path | None, given: Mapping[str, str | None]) -> dict[str, str]:
    """Those that were not given, as the file keeps them where there is one."""
    makers = {name: make for name, make in _MAKERS.items() if given[name] is None}
    if file is None or not makers:
        return {name: make() for name, make in makers.items()}
    keys = kept_keys(file, makers)
    _log.info("%s: kept in %s", ", ".join(keys), file)
    return keys


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("webhooks are called no more", exc_info=error)


async def _description() -> bytes:
    return json.dumps(openapi()).encode()


async def _healthy() -> bytes:
    return b'{"status":"ok"}'


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
