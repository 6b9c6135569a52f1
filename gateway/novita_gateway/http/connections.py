"""The server's connections, where aiohttp's own choice does not fit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from novita_gateway.http.app import MAX_BODY, App
from novita_sdk.models import ApiError
from novita_sdk.wire import codec

__all__ = ["Server"]

KEEPALIVE: Final = 75.0
"""Seconds that a connection may be idle, or take for the head of a request."""

STALL: Final = 60.0
"""Seconds in which a peer must read so much that the system takes more from us; some 15 KB a second will do."""

MAX_LINE: Final = 64 * 1024
"""Bytes of a request line. A ping names every job of its worker, as many as a batch take gives."""

_log = logging.getLogger("novita_gateway")


class Server(web.Server):
    """Makes a connection's protocol.

    Args:
        app: Answers its requests.
    """

    def __init__(self, app: App) -> None:
        super().__init__(app, request_factory=_make_request, handler_cancellation=True)
        self.on_lost: Callable[[], None] = _ignore
        """Called when a connection has ended."""

    def __call__(self) -> RequestHandler:
        """One for each connection."""
        connection = _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # how it is switched off
            keepalive_timeout=KEEPALIVE,
            max_line_size=MAX_LINE,
        )
        connection.on_lost = self.on_lost
        return connection


class _Connection(RequestHandler):
    """Answers what is no HTTP, and cuts off a peer that reads nothing, which aiohttp would wait for."""

    on_lost: Callable[[], None]
    _stall: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unwatch()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._unwatch()
        super().connection_lost(exc)
        self.on_lost()

    def _watch(self) -> None:
        if isinstance(self.transport, asyncio.WriteTransport):
            left = self.transport.get_write_buffer_size()
            self._stall = asyncio.get_running_loop().call_later(STALL, self._check, self.transport, left)

    def _unwatch(self) -> None:
        if self._stall is not None:
            self._stall.cancel()

    def _check(self, transport: asyncio.WriteTransport, before: int) -> None:
        if transport.get_write_buffer_size() >= before:
            transport.abort()
        else:
            self._watch()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes the request
    ) -> web.StreamResponse:
        """Answers in JSON. aiohttp's own answer and log repeat the line at fault, which may hold a key."""
        if isinstance(exc, ConnectionError):
            raise exc
        reason = type(exc).__name__
        _log.info("a request that is no HTTP was refused: %s", reason)
        error = ApiError(code=HTTPStatus(status).name, message=f"the request is not valid HTTP ({reason})")
        response = web.Response(status=status, body=codec.encode(error), content_type="application/json")
        response.force_close()
        return response


def _ignore() -> None:
    pass


def _make_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY + 1)
