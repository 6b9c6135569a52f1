"""A proxy in front of PostgreSQL that loses the answer to a commit: the server has done it, and nobody is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

_IDLE = b"Z\x00\x00\x00\x05I"
"""The server's last message of an answer, outside of any transaction."""


class CuttingProxy:
    """Forwards connections.

    Attributes:
        dsn: The server's, through this proxy.
        lost: Answers that were lost.
    """

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._upstream = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._parts = parts
        self._to_lose = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self.dsn = ""
        self.lost = 0

    def lose(self, answers: int = 1) -> None:
        """Loses the next answers that end a statement or a transaction, each with its connection."""
        self._to_lose += answers

    def cut(self) -> None:
        """Ends every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Forwards one connection."""
        up_reader, up_writer = await asyncio.open_connection(*self._upstream)
        self._writers |= {writer, up_writer}
        with suppress(OSError, asyncio.CancelledError):
            asking = asyncio.ensure_future(_forward(reader, up_writer))
            while data := await up_reader.read(65536):
                if self._to_lose and data.endswith(_IDLE):
                    self._to_lose -= 1
                    self.lost += 1
                    break
                writer.write(data)
            asking.cancel()
        for each in (writer, up_writer):
            each.transport.abort()
        self._writers -= {writer, up_writer}

    def started(self, port: int) -> None:
        """It listens there."""
        netloc = f"{self._parts.username}@127.0.0.1:{port}" if self._parts.username else f"127.0.0.1:{port}"
        self.dsn = self._parts._replace(netloc=netloc).geturl()


@asynccontextmanager
async def cutting_proxy(dsn: str) -> AsyncIterator[CuttingProxy]:
    """A proxy as long as a block lasts."""
    proxy = CuttingProxy(dsn)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.started(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
        writer.write_eof()
