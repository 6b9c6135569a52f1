"""Answers that trickle, and answers that unpack to more than fits: from a server that writes bytes as the test says."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import socketserver
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import aiohttp
import pytest
import requests

import novita_sdk
from novita_sdk import errors
from novita_sdk.wire.bodies import MAX_REPLY
from tests.support.twin import ClientMaker

Write = Callable[[bytes], None]

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
GOING_ON = json.dumps({"id": "j", "status": "IN_PROGRESS"}).encode()
DONE = json.dumps({"id": "j", "status": "COMPLETED", "output": 7}).encode()


class RawServer(socketserver.ThreadingTCPServer):
    """Answers every request by calling `answer`."""

    allow_reuse_address = daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), RawHandler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.answer: Callable[[Write], None] = lambda write: write(plain(DONE))
        self.count = 0
        self.is_over = threading.Event()

    def drip(self, write: Write, data: bytes, seconds: float = 0.1) -> None:
        """A byte now and then, until the client has had enough."""
        for index in range(len(data)):
            if self.is_over.wait(seconds):
                return
            write(data[index : index + 1])


class RawHandler(socketserver.BaseRequestHandler):
    server: RawServer

    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    if not (received := self.request.recv(65536)):
                        return
                    data += received
                data = b""
                self.server.count += 1
                self.server.answer(self.request.sendall)
        except OSError:
            return


def plain(body: bytes, encoding: str = "") -> bytes:
    kind = f"Content-Encoding: {encoding}\r\n".encode() if encoding else b""
    return HEAD + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body


@cache
def bomb(size: int) -> bytes:
    """A status answer with an output of so many bytes, packed."""
    packer = zlib.compressobj(9, wbits=31)
    parts = [packer.compress(b'{"id":"j","status":"COMPLETED","output":"')]
    parts += [packer.compress(bytes([97]) * (1 << 20)) for _ in range(size >> 20)]
    return b"".join([*parts, packer.compress(b'"}'), packer.flush()])


@pytest.fixture
def raw() -> Iterator[RawServer]:
    with RawServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.is_over.set()
        server.shutdown()
        thread.join(10)


def drip_after(start: bytes, filler: bytes) -> Callable[[RawServer, Write], None]:
    def answer(raw: RawServer, write: Write) -> None:
        write(start)
        raw.drip(write, filler * 1000)

    return answer


DRIPS = {
    "status line": drip_after(b"HTTP/1.1 200 O", b"K"),
    "headers": drip_after(HEAD + b"X-Filler: ", b"x"),
    "body": drip_after(HEAD + b"Content-Length: 9999\r\n\r\n", b" "),
    "chunks": drip_after(HEAD + b"Transfer-Encoding: chunked\r\n\r\n270f\r\n", b" "),
}


@pytest.mark.parametrize("drip", DRIPS)
def test_a_wait_ends_at_its_deadline_however_an_answer_trickles(
    raw: RawServer, make_client: ClientMaker, drip: str
) -> None:
    raw.answer = lambda write: DRIPS[drip](raw, write)
    job = make_client(base_url=raw.url, timeout=60).endpoint("x").job("j")
    begin = time.monotonic()
    with pytest.raises(errors.WaitTimeoutError):
        job.output(timeout=1)
    assert 1 <= time.monotonic() - begin < 4


@pytest.mark.parametrize("drip", DRIPS)
def test_a_call_ends_with_its_timeout_however_an_answer_trickles(
    raw: RawServer, make_client: ClientMaker, drip: str
) -> None:
    raw.answer = lambda write: DRIPS[drip](raw, write)
    endpoint = make_client(base_url=raw.url, retry_budget=0).endpoint("x")
    begin = time.monotonic()
    with pytest.raises(errors.RequestTimeoutError, match="no whole answer in"):
        endpoint.health(timeout=0.7)
    assert time.monotonic() - begin < 4
    assert raw.count == 1


def test_a_batch_keeps_its_deadline_however_answers_trickle(raw: RawServer) -> None:
    raw.answer = lambda write: DRIPS["body"](raw, write)
    with novita_sdk.Client(api_key="k", base_url=raw.url, timeout=60) as client:
        jobs = [client.endpoint("x").job("j"), client.endpoint("x").job("k")]
        begin = time.monotonic()
        with pytest.raises(errors.WaitTimeoutError):
            list(client.as_completed(jobs, timeout=1))
        assert time.monotonic() - begin < 4


def test_a_body_that_trickles_ends_a_wait_over_a_session_of_ones_own(raw: RawServer) -> None:
    raw.answer = lambda write: DRIPS["body"](raw, write)
    with requests.Session() as session:
        job = novita_sdk.Client(api_key="k", base_url=raw.url, timeout=60, session=session).endpoint("x").job("j")
        begin = time.monotonic()
        with pytest.raises(errors.WaitTimeoutError):
            job.output(timeout=1)
        assert time.monotonic() - begin < 4


@pytest.mark.parametrize("drip", DRIPS)
async def test_what_trickles_ends_a_wait_over_an_async_session_of_ones_own(raw: RawServer, drip: str) -> None:
    raw.answer = lambda write: DRIPS[drip](raw, write)
    async with aiohttp.ClientSession() as session:
        client = novita_sdk.AsyncClient(api_key="k", base_url=raw.url, timeout=60, session=session)
        begin = time.monotonic()
        with pytest.raises(errors.WaitTimeoutError):
            await client.endpoint("x").job("j").output(timeout=1)
        assert time.monotonic() - begin < 4


def test_a_large_answer_may_be_slow(raw: RawServer, make_client: ClientMaker) -> None:
    """Longer than the timeout in all, and as fast as an old modem."""
    output = "x" * 40_000
    body = json.dumps({"id": "j", "status": "COMPLETED", "output": output}).encode()

    def answer(write: Write) -> None:
        write(HEAD + b"Content-Length: %d\r\n\r\n" % len(body))
        for begin in range(0, len(body), 2000):
            raw.is_over.wait(0.1)
            write(body[begin : begin + 2000])

    raw.answer = answer
    assert make_client(base_url=raw.url, timeout=1).endpoint("x").job("j").output(timeout=60) == output


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "identity", "GZIP"])
def test_answers_may_be_packed(raw: RawServer, make_client: ClientMaker, encoding: str) -> None:
    packed = {"gzip": gzip.compress(DONE), "deflate": zlib.compress(DONE)}.get(encoding.lower(), DONE)
    raw.answer = lambda write: write(plain(packed, encoding))
    assert make_client(base_url=raw.url).endpoint("x").job("j").output(timeout=10) == 7


READERS: dict[str, Callable[[Any], object]] = {
    "wait": lambda job: job.output(),
    "call": lambda job: job.info(),
    "stream": lambda job: list(job.stream()),
    "cancel": lambda job: job.cancel(),
}


@pytest.mark.parametrize("reader", READERS)
def test_an_answer_that_unpacks_to_more_than_fits_is_an_error_at_once(
    raw: RawServer, make_client: ClientMaker, reader: str
) -> None:
    data = plain(bomb(2 * MAX_REPLY), "gzip")
    raw.answer = lambda write: write(data)
    job = make_client(base_url=raw.url).endpoint("x").job("j")
    with pytest.raises(errors.ProtocolError, match=f"larger than {MAX_REPLY:,} bytes") as raised:
        READERS[reader](job)
    assert raised.value.job_id == "j"
    assert raw.count == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_such_an_answer_takes_no_memory(raw: RawServer, kind: str) -> None:
    data = plain(bomb(512 << 20), "gzip")
    raw.answer = lambda write: write(data)
    program = f"""
import asyncio, resource, novita_sdk
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
def sync():
    return novita_sdk.Client(api_key="k", base_url={raw.url!r}).endpoint("x").job("j").output()
async def run():
    async with novita_sdk.AsyncClient(api_key="k", base_url={raw.url!r}) as client:
        return await client.endpoint("x").job("j").output()
try:
    asyncio.run(run()) if {kind == "async"} else sync()
except novita_sdk.errors.ProtocolError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    limit = 8 << 30

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50, preexec_fn=limited
    )
    assert int(done.stdout) * 1024 < 3 * MAX_REPLY


def test_a_submit_with_such_an_answer_may_be_queued(raw: RawServer, make_client: ClientMaker) -> None:
    data = plain(bomb(2 * MAX_REPLY), "gzip")
    raw.answer = lambda write: write(data)
    with pytest.raises(errors.SubmitUncertainError, match="larger than"):
        make_client(base_url=raw.url).endpoint("x").run({}, idempotency_key="mine")
    assert raw.count == 1


def test_of_a_refusal_the_beginning_is_enough(raw: RawServer, make_client: ClientMaker) -> None:
    data = plain(bomb(2 * MAX_REPLY), "gzip").replace(b"200 OK", b"403 No", 1)
    raw.answer = lambda write: write(data)
    with pytest.raises(errors.AuthenticationError):
        make_client(base_url=raw.url).endpoint("x").job("j").info()


@pytest.mark.parametrize("body", [gzip.compress(DONE)[:-9], b"no gzip at all", b""], ids=["cut off", "else", "empty"])
def test_what_can_not_be_unpacked_is_an_error(raw: RawServer, make_client: ClientMaker, body: bytes) -> None:
    raw.answer = lambda write: write(plain(body, "gzip"))
    with pytest.raises(errors.ProtocolError):
        make_client(base_url=raw.url, retry_budget=0.2).endpoint("x").job("j").info()


def test_what_was_not_asked_for_is_not_unpacked(raw: RawServer, make_client: ClientMaker) -> None:
    raw.answer = lambda write: write(plain(b"x", "br"))
    with pytest.raises(errors.ProtocolError, match="packed as 'br'"):
        make_client(base_url=raw.url, retry_budget=0.2).endpoint("x").job("j").info()
