"""What the gateway's benches share: servers in processes of their own, and as little of an HTTP client as will do."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = Path(__file__).with_name("gateway_server.py")
HEADERS = b"Host: bench\r\nUser-Agent: bench\r\nAccept: */*\r\nContent-Type: application/json\r\n"
INPUT = b'{"input":"' + b"x" * 1000 + b'"}'
OUTPUT = b'{"output":"' + b"y" * 1000 + b'"}'


class Server:
    """A server process that can be asked about itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line())

    def ask(self, what: str) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        return float(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def server(kind: str, *arguments: str, cores: Collection[int] = ()) -> Iterator[Server]:
    """A server on these cores; on all of them by default."""
    command = [sys.executable, str(SERVER), kind, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if cores:
                os.sched_setaffinity(process.pid, cores)
            yield Server(process)
        finally:
            process.kill()


class Connection(asyncio.Protocol):
    """As little of an HTTP client as will do, so that the server is what is measured."""

    def __init__(self) -> None:
        self._buffer = b""
        self._reply: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n") + 4
        if head < 4 or self._reply is None:
            return
        at = self._buffer.find(b"Content-Length: ", 0, head) + 16
        length = int(self._buffer[at : self._buffer.find(b"\r", at)]) if at > 15 else 0
        if len(self._buffer) >= head + length:
            body, self._buffer = self._buffer[head : head + length], self._buffer[head + length :]
            self._reply.set_result(body)

    async def call(self, line: str, key: str, body: bytes = b"") -> bytes:
        self._reply = asyncio.get_running_loop().create_future()
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{line} HTTP/1.1\r\nAuthorization: {key}\r\n{length}".encode()
        self.transport.write(head + HEADERS + b"\r\n" + body)
        return await self._reply

    async def submit(self, endpoint: str) -> str:
        return (await self.call(f"POST /v1/{endpoint}/run", "Bearer K", INPUT))[7:31].decode()

    async def take(self, endpoint: str, worker: str = "w1") -> str:
        body = await self.call(f"GET /v1/{endpoint}/job-take/{worker}?gpu=A+B&job_in_progress=0", "W")
        return body[7:31].decode()

    async def done(self, endpoint: str, job_id: str, worker: str = "w1") -> None:
        await self.call(f"POST /v1/{endpoint}/job-done/{worker}/{job_id}?gpu=A+B&isStream=false", "W", OUTPUT)

    async def status(self, endpoint: str, job_id: str, query: str = "") -> None:
        await self.call(f"GET /v1/{endpoint}/status/{job_id}{query}", "Bearer K")


async def connect(port: int) -> Connection:
    _, connection = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", port)
    return connection
