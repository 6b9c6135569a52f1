"""A gateway for measuring workers: job queue in memory, the published take, done, stream, stop and ping routes.

Run as a process of its own; it must cost less than what it is to measure, so it reads requests with a regular
expression and knows nothing of HTTP but what workers send. Controlled over stdin: `load N SECONDS`, `reset`; every
command is answered with one line of JSON on stdout.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections import deque

HEAD = re.compile(rb"(GET|POST) (\S+) HTTP/1\.1\r\n(.*?)\r\n\r\n", re.S)
LENGTH = re.compile(rb"content-length: *(\d+)", re.I)
BATCH = re.compile(rb"batch_size=(\d+)")
PARK = 20.0


class Queue:
    """The jobs, and what was seen of them."""

    def __init__(self) -> None:
        self.waiting: deque[bytes] = deque()
        self.parked: deque[tuple[Connection, int]] = deque()
        self.number = 0
        self.clear()

    def clear(self) -> None:
        self.waiting.clear()
        self.done: dict[bytes, float] = {}
        self.first_take = self.last_done = 0.0
        self.takes = self.empty = 0

    def load(self, count: int, seconds: float) -> None:
        for _ in range(count):
            self.number += 1
            self.waiting.append(b'{"id":"job-%d","input":{"seconds":%g}}' % (self.number, seconds))
        while self.parked and self.waiting:
            connection, wanted = self.parked.popleft()
            connection.give(wanted)


class Connection(asyncio.Protocol):
    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.buffer = b""
        self.timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.queue.parked = deque(item for item in self.queue.parked if item[0] is not self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while match := HEAD.match(self.buffer):
            length = LENGTH.search(match[3])
            end = match.end() + (int(length[1]) if length else 0)
            if len(self.buffer) < end:
                return
            body, self.buffer = self.buffer[match.end() : end], self.buffer[end:]
            self.answer(match[2], body)

    def answer(self, path: bytes, body: bytes) -> None:
        queue = self.queue
        if b"/job-take" in path:
            queue.takes += 1
            queue.first_take = queue.first_take or time.monotonic()
            batch = BATCH.search(path)
            wanted = int(batch[1]) if batch else 0
            if queue.waiting:
                self.give(wanted)
            else:
                queue.parked.append((self, wanted))
                self.timer = asyncio.get_running_loop().call_later(PARK, self.give_up)
        elif b"/job-stop/" in path:
            asyncio.get_running_loop().call_later(PARK, self.send, 204, b"")
        else:
            if b"/job-done/" in path and b'"status"' not in body:
                queue.last_done = time.monotonic()
                queue.done[path.rpartition(b"/")[2].partition(b"?")[0]] = queue.last_done
            self.send(200, b"{}")

    def give(self, wanted: int) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if wanted:
            jobs = [self.queue.waiting.popleft() for _ in range(min(wanted, len(self.queue.waiting)))]
            self.send(200, b"[" + b",".join(jobs) + b"]")
        else:
            self.send(200, self.queue.waiting.popleft())

    def give_up(self) -> None:
        self.queue.empty += 1
        self.connection_lost(None)
        self.send(204, b"")

    def send(self, status: int, body: bytes) -> None:
        head = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
        if not self.transport.is_closing():
            self.transport.write(head + body)


async def main() -> None:
    loop = asyncio.get_running_loop()
    queue = Queue()
    server = await loop.create_server(lambda: Connection(queue), "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().split():
        match line:
            case ["load", count, seconds]:
                queue.load(int(count), float(seconds))
            case ["reset"]:
                queue.clear()
        state = {
            "done": len(queue.done),
            "first_take": queue.first_take,
            "last_done": queue.last_done,
            "takes": queue.takes,
        }
        print(json.dumps(state), flush=True)


asyncio.run(main())
