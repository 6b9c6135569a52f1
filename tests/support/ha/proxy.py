"""A proxy in front of the database that knows its protocol, and cuts or holds what a test names."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from tests.support.waiting import DEADLINE

__all__ = ["KINDS", "Fault", "Proxy", "run_proxy"]

KINDS: Final = {
    "submit": b"INSERT INTO job (endpoint, id, low_priority",
    "take": b"UPDATE job SET status = 1",
    "result": b"has_output = f.output IS NOT NULL",
    "change": b"UPDATE job SET expires = s.expires",
}
"""What the statement of each kind of commit has; a change has a transaction, and counts when that commits."""

When = Literal["before", "amid", "during", "after", "held"]
"""The connection is cut before the statement is sent, with half of it, right after it, or when it is answered; or that
answer is held back."""


@dataclass
class Fault:
    """Something to go wrong once.

    Attributes:
        kind: With the next commit of that kind.
        when: How.
        isolates: The gateway reaches the database no more after that.
        place: The number of the port whose connection it was.
    """

    kind: str
    when: When
    isolates: bool = False
    place: int = -1
    _happened: threading.Event = field(default_factory=threading.Event)
    _released: threading.Event = field(default_factory=threading.Event)

    def wait(self) -> int:
        """Returns when it happened; for an answer that is held, when the server gave it. Returns the port's number."""
        assert self._happened.wait(DEADLINE), f"no {self.kind} came"
        return self.place

    def release(self) -> None:
        """Lets a held answer go."""
        self._released.set()


@dataclass
class _Connection:
    """One connection's state."""

    place: int
    statements: dict[bytes, bytes] = field(default_factory=dict)
    has_changed: bool = False
    fault: Fault | None = None


class Proxy:
    """Forwards connections from several ports, one for each gateway.

    Args:
        dsn: Of the server.

    Attributes:
        ports: Where it listens.
        delay: Seconds for which each answer is held up.
    """

    def __init__(self, dsn: str) -> None:
        match = re.fullmatch(r"(.*@)([^:/]+):(\d+)(/.*)", dsn)
        assert match is not None
        self._dsn = match
        self.ports: list[int] = []
        self.delay = 0.0
        self._faults: list[Fault] = []
        self._writers: dict[asyncio.StreamWriter, int] = {}
        self._isolated: set[int] = set()
        self._loop = asyncio.new_event_loop()

    def dsn(self, place: int = 0) -> str:
        """Names the port of that number."""
        return f"{self._dsn[1]}127.0.0.1:{self.ports[place]}{self._dsn[4]}?sslmode=disable"

    def fail(self, kind: str, when: When, *, isolates: bool = False) -> Fault:
        """Has the next commit of that kind fail."""
        self._faults.append(fault := Fault(kind, when, isolates))
        return fault

    def connect(self, place: int) -> None:
        """Ends a gateway's isolation."""
        self._isolated.discard(place)

    def cut_all(self) -> None:
        """Cuts every connection, whatever it is at."""
        self._loop.call_soon_threadsafe(self._cut, range(len(self.ports)))

    def _cut(self, places: Iterable[int]) -> None:
        for writer, place in self._writers.items():
            if place in places:
                writer.transport.abort()

    def _happen(self, fault: Fault) -> None:
        if fault.isolates:
            self._isolated.add(fault.place)
            self._cut([fault.place])
        fault._happened.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, place: int) -> None:
        """One connection, to its end."""
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._forward(reader, writer, _Connection(place))
        writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection
    ) -> None:
        if connection.place in self._isolated:
            return
        their_reader, their_writer = await asyncio.open_connection(self._dsn[2], int(self._dsn[3]), limit=1 << 24)
        self._writers |= {writer: connection.place, their_writer: connection.place}
        try:
            ways = [self._up(reader, their_writer, connection), self._down(their_reader, writer, connection)]
            tasks = [asyncio.ensure_future(way) for way in ways]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            del self._writers[writer], self._writers[their_writer]
            their_writer.transport.abort()

    async def _up(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection) -> None:
        length = await reader.readexactly(4)
        writer.write(length + await reader.readexactly(int.from_bytes(length) - 4))
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            fault = self._fault_of(connection, head[:1], body)
            if fault is None:
                writer.write(head + body)
            elif fault.when in {"after", "held"}:
                connection.fault = fault
                writer.write(head + body)
            else:
                if fault.when != "before":
                    message = head + body
                    writer.write(message if fault.when == "during" else message[: len(message) // 2])
                if fault.when == "during":  # with the message that has it carried out
                    with suppress(TimeoutError):
                        async with asyncio.timeout(0.01):
                            writer.write(await reader.read(65536))
                await writer.drain()
                self._happen(fault)
                return
            await writer.drain()

    async def _down(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: _Connection) -> None:
        while True:
            head = await reader.readexactly(5)
            message = head + await reader.readexactly(int.from_bytes(head[1:]) - 4)
            fault = connection.fault
            if fault is not None and fault.when == "after":
                if head[:1] == b"Z":
                    self._happen(fault)
                    return
                continue
            if fault is not None and head[:1] == b"Z":
                self._happen(fault)
                await asyncio.to_thread(fault._released.wait, DEADLINE)
                connection.fault = None
            if self.delay and head[:1] == b"Z":
                await asyncio.sleep(self.delay)
            if fault is not None and connection.fault is not None:
                writer.write(message)  # all but its end, which nobody acts without
                continue
            writer.write(message)
            await writer.drain()

    def _fault_of(self, connection: _Connection, kind: bytes, body: bytes) -> Fault | None:
        """The fault that is due with this message."""
        if kind == b"P":
            name, statement = body.split(b"\0", 2)[:2]
            connection.statements[name] = statement
        statement = b""
        if kind == b"B":
            statement = connection.statements.get(body.split(b"\0", 2)[1], b"")
            if KINDS["change"] in statement:
                connection.has_changed = True
                return None
        is_commit = kind == b"Q" and body.startswith(b"COMMIT") and connection.has_changed
        if kind == b"Q":
            connection.has_changed = connection.has_changed and not is_commit
        for fault in self._faults:
            if is_commit if fault.kind == "change" else KINDS[fault.kind] in statement:
                self._faults.remove(fault)
                fault.place = connection.place
                return fault
        return None

    async def _listen(self) -> asyncio.Server:
        place = len(self.ports)
        server = await asyncio.start_server(
            lambda reader, writer: self.serve(reader, writer, place), "127.0.0.1", 0, limit=1 << 24
        )
        self.ports.append(server.sockets[0].getsockname()[1])
        return server

    @contextmanager
    def _running(self, count: int) -> Iterator[None]:
        loop = self._loop
        servers = [loop.run_until_complete(self._listen()) for _ in range(count)]
        thread = threading.Thread(target=loop.run_forever, name="database proxy")
        thread.start()

        async def end() -> None:
            for server in servers:
                server.close()
            others = asyncio.all_tasks() - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)  # the transports end in the loop's next turn

        try:
            yield
        finally:
            asyncio.run_coroutine_threadsafe(end(), loop).result(60)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


@contextmanager
def run_proxy(dsn: str, ports: int = 1) -> Iterator[Proxy]:
    """Runs one in a thread of its own while a block lasts."""
    proxy = Proxy(dsn)
    with proxy._running(ports):
        yield proxy
