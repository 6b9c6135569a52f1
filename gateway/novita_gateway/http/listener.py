"""The listener: accepts connections, as many as the limit of open files leaves room for."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from typing import Final

from novita_gateway.http.connections import Server

__all__ = ["Listener"]

BACKLOG: Final = 4096
"""Connections that the system keeps for us until they are accepted."""
BATCH: Final = 1024
"""Connections that are accepted in one turn of the event loop."""
PAUSE: Final = 1.0
"""Seconds until it is tried again where the system could not open another file."""
LOG_INTERVAL: Final = 60.0
"""Seconds in which it is said once that connections wait."""

_log = logging.getLogger("novita_gateway")


class Listener:
    """Connects a server with who calls; who finds no room waits in the system's queue until a connection ends.

    Args:
        server: Makes the protocol of a connection.
        limit: Connections that may be open; None on Windows, whose event loop can only accept by itself.

    Attributes:
        sockets: What is listened on, while there is a limit.
    """

    def __init__(self, server: Server, limit: int | None) -> None:
        self._server = server
        self._limit = limit
        self._open = 0
        self._is_paused = True
        self._said = -LOG_INTERVAL
        self._own: asyncio.Server | None = None
        self.sockets: list[socket.socket] = []
        self._connecting: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Listens; returns the port.

        Raises:
            OSError: The port is taken, or the host is not one of this machine.
        """
        loop = asyncio.get_running_loop()
        bound = await loop.create_server(self._server, host, port, backlog=BACKLOG, start_serving=self._limit is None)
        if self._limit is None:
            self._own = bound
            return int(bound.sockets[0].getsockname()[1])
        self.sockets = [each.dup() for each in bound.sockets]
        bound.close()
        for listening in self.sockets:
            listening.settimeout(0)
            listening.listen(BACKLOG)
        self._server.on_lost = self._lost
        self._resume()
        return int(self.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Accepts no more, and returns when all that was accepted is connected."""
        self._pause()
        sockets, self.sockets = self.sockets, []
        if self._connecting:
            await asyncio.wait(self._connecting)
        for listening in sockets:
            listening.close()
        if self._own is not None:
            self._own.close()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(BATCH):
            if self._limit is not None and self._open >= self._limit:
                self._pause()
                self._say(
                    f"{self._open} connections are open, as many as the limit of open files leaves room for; others "
                    "wait until one ends. Raise the limit (ulimit -n)"
                )
                return
            try:
                connection, _ = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._pause()
                self._say(f"cannot accept connections beside {self._open} that are open: {error}; trying again")
                asyncio.get_running_loop().call_later(PAUSE, self._resume)
                return
            self._open += 1
            connection.settimeout(0)
            task = asyncio.get_running_loop().create_task(self._connect(connection))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self._server, connection)
        except OSError as error:
            connection.close()
            self._lost()
            self._say(f"a connection was lost before it was there: {error}")

    def _lost(self) -> None:
        self._open -= 1
        self._resume()

    def _pause(self) -> None:
        self._is_paused = True
        for listening in self.sockets:
            asyncio.get_running_loop().remove_reader(listening)

    def _resume(self) -> None:
        if not self._is_paused:
            return
        self._is_paused = False
        for listening in self.sockets:
            asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _say(self, message: str) -> None:
        if time.monotonic() - self._said >= LOG_INTERVAL:
            self._said = time.monotonic()
            _log.warning("%s", message)
