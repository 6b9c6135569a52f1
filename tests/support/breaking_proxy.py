"""A proxy that breaks the connections it is told to break."""

from __future__ import annotations

import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass


class Proxy:
    """Forwards TCP connections, and spoils the first ones that start with a request it was told to spoil."""

    def __init__(self, port: int, upstream: tuple[str, int]) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.upstream = upstream
        self.spoiled = 0
        self._faults: list[tuple[bytes, Callable[[socket.socket, bytes], bool]]] = []

    def spoil(self, client: socket.socket, head: bytes) -> bool:
        """Whether a fault was played instead of the request."""
        for fault in self._faults:
            verb, act = fault
            if head.startswith(verb):
                self._faults.remove(fault)
                self.spoiled += 1
                return act(client, head)
        return False

    def answer_503(self, times: int = 1, verb: bytes = b"PUT") -> None:
        self.answer(503, b"SlowDown", times, verb)

    def answer(self, status: int, code: bytes, times: int = 1, verb: bytes = b"PUT") -> None:
        def act(client: socket.socket, head: bytes) -> bool:
            body = b"<Error><Code>%s</Code><Message>not now</Message></Error>" % code
            client.sendall(b"HTTP/1.1 %d No\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(body)))
            client.sendall(body)
            client.shutdown(socket.SHUT_WR)
            drain(client, 1 << 40)
            return True

        self._faults += [(verb, act)] * times

    def reset_after(self, count: int, verb: bytes = b"PUT") -> None:
        """Reads `count` bytes of the request's body and resets the connection."""

        def act(client: socket.socket, head: bytes) -> bool:
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            drain(client, count)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True

        self._faults.append((verb, act))

    def cut_answer(self, count: int, verb: bytes = b"GET") -> None:
        """Lets `count` bytes of the answer through and resets the connection."""

        def act(client: socket.socket, head: bytes) -> bool:
            with socket.create_connection(self.upstream) as server:
                server.sendall(head)
                left = count
                while left > 0 and (chunk := server.recv(min(left, 65536))):
                    client.sendall(chunk)
                    left -= len(chunk)
            time.sleep(0.1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return True

        self._faults.append((verb, act))

    def hold(self, seconds: float, verb: bytes = b"PUT") -> None:
        """Lets the request through after a while."""

        def act(client: socket.socket, head: bytes) -> bool:
            time.sleep(seconds)
            return False

        self._faults.append((verb, act))


def drain(client: socket.socket, count: int) -> None:
    with suppress(OSError):
        while count > 0 and (chunk := client.recv(min(count, 65536))):
            count -= len(chunk)


@dataclass(frozen=True)
class Request:
    head: bytes
    body: bytes
    """As far as it came with the head."""

    def forward(self, source: socket.socket, sink: socket.socket) -> None:
        length = re.search(rb"^content-length: *(\d+)", self.head, re.IGNORECASE | re.MULTILINE)
        left = (int(length[1]) if length else 0) - len(self.body)
        sink.sendall(self.head + self.body)
        while left > 0 and (chunk := source.recv(min(left, 65536))):
            sink.sendall(chunk)
            left -= len(chunk)


def read_request(client: socket.socket) -> Request | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = client.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, end, body = data.partition(b"\r\n\r\n")
    return Request(head + end, body)


@contextmanager
def run_proxy(target: str) -> Iterator[Proxy]:
    """Looks at every request of a connection; bodies have their length in the head."""
    upstream = ("127.0.0.1", int(target.rpartition(":")[2]))
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = Proxy(listener.getsockname()[1], upstream)

    def answer(server: socket.socket, client: socket.socket, is_over: threading.Event) -> None:
        with suppress(OSError):
            while chunk := server.recv(65536):
                client.sendall(chunk)
            if not is_over.is_set():
                client.shutdown(socket.SHUT_RDWR)

    def serve(client: socket.socket) -> None:
        # Either side may be gone at any time: that is what the proxy is for.
        with client, suppress(OSError), socket.create_connection(upstream) as server:
            is_over = threading.Event()
            answering = threading.Thread(target=answer, args=(server, client, is_over))
            answering.start()
            try:
                while (request := read_request(client)) and not proxy.spoil(client, request.head):
                    request.forward(client, server)
            finally:
                is_over.set()
                with suppress(OSError):
                    server.shutdown(socket.SHUT_RDWR)
                answering.join()

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(client,), daemon=True).start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
