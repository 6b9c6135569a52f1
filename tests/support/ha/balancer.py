"""A load balancer: it hands each connection to the next gateway that takes it, and can lose answers."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

__all__ = ["Balancer", "run_balancer"]


class Balancer:
    """Forwards connections. Its attributes may be changed from any thread.

    Args:
        backends: Ports of gateways on loopback, in the order in which they are tried.

    Attributes:
        port: Where it listens.
        backends: Those that new connections go to.
        lost: Answers that were lost on demand.
    """

    def __init__(self, backends: Sequence[int]) -> None:
        self.port = 0
        self.backends = list(backends)
        self.lost = 0
        self._turn = itertools.count()
        self._to_lose: list[bytes] = []

    @property
    def url(self) -> str:
        """The base URL for clients."""
        return f"http://127.0.0.1:{self.port}/v1"

    def lose_answer(self, request: str) -> None:
        """Loses the answer to the next request that begins with this, such as `POST /v1/ep/run`: it ends there."""
        self._to_lose.append(request.encode())

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        with suppress(OSError, asyncio.CancelledError):  # which is how the block's end reaches it
            await self._forward(reader, writer)
        writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await self._connect()
        try:
            loses = asyncio.Event()
            ways = [self._up(reader, their_writer, loses), self._down(their_reader, writer, loses)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            their_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        backends = self.backends
        first = next(self._turn)
        for place in range(len(backends)):
            with suppress(OSError):
                return await asyncio.open_connection("127.0.0.1", backends[(first + place) % len(backends)])
        raise ConnectionRefusedError("no gateway takes connections")

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, loses: asyncio.Event) -> None:
        while data := await reader.read(65536):
            for request in self._to_lose:
                if data.startswith(request):
                    self._to_lose.remove(request)
                    loses.set()
                    break
            writer.write(data)
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, loses: asyncio.Event) -> None:
        while data := await reader.read(65536):
            if loses.is_set():
                self.lost += 1
                return
            writer.write(data)
            await writer.drain()


@contextmanager
def run_balancer(backends: Sequence[int]) -> Iterator[Balancer]:
    """Runs one in a thread of its own while a block lasts."""
    balancer = Balancer(backends)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(balancer.serve, "127.0.0.1", 0, backlog=1024))
    balancer.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, name="balancer")
    thread.start()

    async def end() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # the transports end in the loop's next turn

    try:
        yield balancer
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
