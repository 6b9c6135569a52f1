"""A gateway that is away or broken is told of while the command still tries, not only when it gives up."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from .conftest import Start


class Broken(BaseHTTPRequestHandler):
    """Queues every job, and fails at everything else."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(200, {"id": "j1", "status": "PENDING"})

    def do_GET(self) -> None:
        self._answer(500, {"code": "INTERNAL", "message": "the disk is full"})

    def _answer(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


class Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing: clients that are interrupted reset their connections."""


@pytest.fixture
def broken() -> Iterator[str]:
    """The URL of a gateway that fails at everything but submits."""
    with Server(("127.0.0.1", 0), Broken) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/v1"
        server.shutdown()


@pytest.fixture
def nowhere() -> Iterator[str]:
    """A URL where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


@pytest.mark.parametrize("arguments", [("run", "x", "-i", "a=1"), ("health", "x"), ("status", "x", "j")])
def test_a_gateway_that_is_not_there_is_told_of_at_once(start: Start, nowhere: str, arguments: tuple[str, ...]) -> None:
    command = start(*arguments, "--base-url", nowhere)
    command.wait_for("Connection refused); trying again in")
    assert command.process.poll() is None
    command.interrupt()
    assert command.outcome().code == 130


@pytest.mark.parametrize("options", [(), ("-q",), ("--json",)])
def test_a_wait_without_end_says_why_it_hears_nothing(start: Start, broken: str, options: tuple[str, ...]) -> None:
    command = start("run", "x", "-i", "a=1", "--base-url", broken, *options)
    command.wait_for("job j1: its state could not be read, the wait goes on: ")
    command.wait_for("the disk is full")
    command.interrupt()
    done = command.outcome()
    assert done.code == 130
    assert len(re.findall("could not be read", done.err)) == 1


def test_a_batch_tells_of_its_trouble_once_a_second_and_not_once_a_job(start: Start, broken: str) -> None:
    command = start("map", "x", "-", "--base-url", broken, stdin='{"a": 1}\n' * 16)
    command.wait_for("the wait goes on")
    command.interrupt()
    done = command.outcome()
    assert done.code == 130
    assert 1 <= len(re.findall("could not be read", done.err)) < 8
