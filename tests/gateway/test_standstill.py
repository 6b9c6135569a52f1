"""Gateways that stand still, or have no time, while their workers go on."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from novita_gateway import Gateway, Limits, MemoryStore, SystemClock, _patience
from novita_gateway.board.pulse import Pulse
from novita_gateway.store import parking
from tests.support.gateway_api import Connect
from tests.support.gateway_process import GatewayProcess


@contextmanager
def pinging(port: int, token: str, job_id: str, *, keeps_alive: bool) -> Iterator[None]:
    """A worker's heartbeat: every 0.3 s, and on a connection of its own where an answer did not come."""
    is_over = threading.Event()

    def ping() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
        while not is_over.wait(0.3):
            try:
                connection.request("GET", f"/v1/ep/ping/w1?job_id={job_id}", headers={"Authorization": token})
                connection.getresponse().read()
            except (OSError, http.client.HTTPException):
                connection.close()
            if not keeps_alive:
                connection.close()
        connection.close()

    heart = threading.Thread(target=ping)
    heart.start()
    try:
        yield
    finally:
        is_over.set()
        heart.join()


def call(port: int, verb: str, path: str, key: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(verb, f"/v1/ep/{path}", body, {"Authorization": key})
        return connection.getresponse().read()


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
@pytest.mark.parametrize("keeps_alive", [True, False])
def test_a_gateway_that_stood_still_takes_no_job_of_a_worker_that_pings(
    process: GatewayProcess, keeps_alive: bool
) -> None:
    call(process.port, "POST", "run", "k", '{"input": 1}')
    job_id = call(process.port, "GET", "job-take/w1", "w")[7:31].decode()
    with pinging(process.port, "w", job_id, keeps_alive=keeps_alive):
        for _ in range(3):
            process.process.send_signal(signal.SIGSTOP)
            time.sleep(2.0)  # a lease is 1.5 s
            process.process.send_signal(signal.SIGCONT)
            time.sleep(0.7)
            status = call(process.port, "GET", f"status/{job_id}", "k")
            assert b'"IN_PROGRESS"' in status, status
            assert b'"retries":0' in status


@pytest.mark.skipif(sys.platform == "win32", reason="stops a process by a signal")
def test_a_worker_that_is_gone_loses_its_job_also_when_the_gateway_stood_still(process: GatewayProcess) -> None:
    call(process.port, "POST", "run", "k", '{"input": 1}')
    job_id = call(process.port, "GET", "job-take/w1", "w")[7:31].decode()
    process.process.send_signal(signal.SIGSTOP)
    time.sleep(2.0)
    process.process.send_signal(signal.SIGCONT)
    begin = time.monotonic()
    assert call(process.port, "GET", "job-take/w2", "w")[7:31].decode() == job_id
    assert time.monotonic() - begin < 4


def stand_still(seconds: float, until: threading.Event | None = None) -> None:
    """Holds up the event loop that it is called on."""
    time.sleep(seconds)
    assert until is None or until.wait(10)


def send_from_thread(port: int, request: bytes, sent: threading.Event) -> threading.Thread:
    """Sends while the event loop has no time."""

    def send() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request)
            sent.set()
            connection.settimeout(5)
            connection.recv(100)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


def forgive_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pulse, "beat", lambda self, now, _: setattr(self, "now", now))


@pytest.mark.parametrize("message", ["ping", "result"])
@pytest.mark.parametrize("is_read_first", [True, False])
async def test_what_arrived_while_the_loop_had_no_time_counts(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, message: str, is_read_first: bool
) -> None:
    if not is_read_first:
        monkeypatch.setattr(parking, "TURNS", 0)
    forgive_nothing(monkeypatch)
    api = await connect(Gateway(store=MemoryStore(clock=SystemClock(), limits=Limits(lease=1000))))
    job_id = await api.submit()
    await api.take("w1")
    head = f"Host: x\r\nAuthorization: {api.gateway.worker_token}\r\n"
    if message == "ping":
        request = f"GET /v1/ep/ping/w1?job_id={job_id} HTTP/1.1\r\n{head}\r\n"
    else:
        request = f'POST /v1/ep/job-done/w1/{job_id} HTTP/1.1\r\n{head}Content-Length: 13\r\n\r\n{{"output":12}}'
    sent = threading.Event()
    sender = send_from_thread(api.gateway.port, request.encode(), sent)
    stand_still(1.1, until=sent)
    await asyncio.to_thread(sender.join)
    status = await api.status(job_id)
    if not is_read_first:
        assert status["status"] == "PENDING", "the test can't fail"
    elif message == "ping":
        assert (status["status"], status["retries"]) == ("IN_PROGRESS", 0)
    else:
        assert (status["status"], status["output"]) == ("COMPLETED", 12)


@pytest.mark.parametrize("is_patient", [True, False])
async def test_a_body_that_arrived_while_the_loop_had_no_time_is_in_time(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, is_patient: bool
) -> None:
    if not is_patient:
        monkeypatch.setattr(_patience, "LATE", 0.01)
    api = await connect(Gateway(body_timeout=0.5))
    reader, writer = await asyncio.open_connection("127.0.0.1", api.gateway.port)
    head = f"POST /v1/ep/run HTTP/1.1\r\nHost: x\r\nAuthorization: {api.gateway.api_key}\r\nContent-Length: 12\r\n\r\n"
    writer.write(head.encode())
    await asyncio.sleep(0.1)
    stand_still(1.0)
    await asyncio.sleep(0.05)  # a peer that stood still as well
    writer.write(b'{"input":12}')
    assert (await reader.readline()).split()[1] == (b"200" if is_patient else b"408")
    writer.close()
    await writer.wait_closed()


@pytest.mark.skipif(sys.platform == "win32", reason="blocks the loop with a thread beside it")
@pytest.mark.parametrize("forgives", [True, False])
async def test_a_worker_that_stood_still_with_the_gateway_has_time_to_ping(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, forgives: bool
) -> None:
    """As a machine that was suspended: nothing arrived meanwhile, and the worker needs a moment."""
    if not forgives:
        forgive_nothing(monkeypatch)
    api = await connect(Gateway(store=MemoryStore(limits=Limits(lease=800))))
    job_id = await api.submit()
    await api.take("w1")
    stand_still(1.0)
    await asyncio.sleep(0.3)
    status = await api.status(job_id)
    assert status["status"] == ("IN_PROGRESS" if forgives else "PENDING")
