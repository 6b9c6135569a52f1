"""Gateways at the limit of open files, in processes of their own."""

from __future__ import annotations

import contextlib
import http.client
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[3])))
from novita_gateway import Gateway, SQLiteStore, _gateway, log_to, serve_forever
log_to()
if sys.argv[4] == "asyncio":
    _gateway.room_for_connections = lambda: None
elif sys.argv[4] == "unlimited":
    _gateway.room_for_connections = lambda: 1_000_000
serve_forever(
    lambda: Gateway(store=SQLiteStore(sys.argv[1]), api_key="k", worker_token="w"),
    on_start=lambda gateway: print(gateway.port, flush=True),
)
"""


@contextmanager
def gateway(folder: Path, soft: int, hard: int, accept: str = "own") -> Iterator[tuple[int, Path]]:
    """Yields its port and the file that it logs to."""
    log = folder / "log"
    arguments = [str(folder / "jobs.db"), str(soft), str(hard), accept]
    with (
        log.open("wb") as errors,
        subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline()), log
        finally:
            process.terminate()
            assert process.wait(10) == 0


def ask(
    connection: http.client.HTTPConnection, verb: str = "GET", path: str = "health", body: str | None = None
) -> int:
    connection.request(verb, f"/v1/ep/{path}", body, {"Authorization": "k"})
    response = connection.getresponse()
    response.read()
    return response.status


def many(stack: ExitStack, port: int, count: int) -> list[socket.socket]:
    """Connections that nothing comes from."""
    return [stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10)) for _ in range(count)]


@pytest.mark.parametrize("accept", ["own", "unlimited"])
def test_at_the_limit_open_connections_are_served_and_others_wait_without_a_flood_of_lines(
    tmp_path: Path, accept: str
) -> None:
    with gateway(tmp_path, 64, 64, accept) as (port, log), ExitStack() as stack:
        kept = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)))
        assert ask(kept) == 200
        idle = many(stack, port, 150)
        waiting = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)))
        begin = time.monotonic()
        while time.monotonic() - begin < 1.5:
            assert ask(kept) == 200
            if accept == "own":
                assert ask(kept, "POST", "run", '{"input": 1}') == 200, "the store found no file to open"
        lines = log.read_text().splitlines()
        assert len(lines) == 1, lines
        assert ("Raise the limit" if accept == "own" else "Too many open files") in lines[0]
        for connection in idle:
            connection.close()
        assert ask(waiting) == 200
        assert len(log.read_text().splitlines()) == 1


def test_the_loop_of_asyncio_floods_the_log(tmp_path: Path) -> None:
    """What the gateway's own listener is for: the test above can fail."""
    with gateway(tmp_path, 64, 64, "asyncio") as (port, log), ExitStack() as stack:
        many(stack, port, 150)
        time.sleep(1.0)
        assert log.read_text().count("Too many open files") > 100


def test_a_program_raises_its_limit_as_far_as_it_may(tmp_path: Path) -> None:
    with gateway(tmp_path, 64, 1024) as (port, log), ExitStack() as stack:
        many(stack, port, 300)
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
            assert ask(connection) == 200
        assert log.read_text() == ""
