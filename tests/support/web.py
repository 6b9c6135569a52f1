"""An HTTP server in a thread: the loop and the socket are its own, the answers are the test's."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web

from tests.support.waiting import DEADLINE

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Answerer = Callable[[str, str, bytes], tuple[int, bytes]]
"""From verb, path and body to status and body."""


@contextmanager
def serve(app: web.Application, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Runs an application in a thread of its own; gives its URL."""
    loop = asyncio.new_event_loop()
    # What still runs is of no use once the test is over.
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)

    async def start() -> int:
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
        port: int = runner.addresses[0][1]
        return port

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(DEADLINE)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(DEADLINE)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def serve_handler(handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Runs one handler for every verb and path, and bodies of up to 32 MiB."""
    app = web.Application(client_max_size=32 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", handler)
    with serve(app, tls) as url:
        yield url


@contextmanager
def serve_answers(answer: Answerer) -> Iterator[str]:
    """Answers JSON to every request."""

    async def handle(request: web.Request) -> web.Response:
        status, body = answer(request.method, request.path_qs, await request.read())
        return web.Response(status=status, body=body, content_type="application/json")

    with serve_handler(handle) as url:
        yield url


def abort(request: web.Request) -> None:
    """Resets the connection that a request came over."""
    assert request.transport is not None
    request.transport.abort()
