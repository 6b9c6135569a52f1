"""A gateway that is away or broken is told of while the command still tries, not only when it gives up."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest

from tests.support.command import Start
from tests.support.web import serve_answers


@pytest.fixture
def broken() -> Iterator[str]:
    """The URL of a gateway that queues every job, and fails at everything else."""

    def answer(verb: str, path: str, body: bytes) -> tuple[int, bytes]:
        if verb == "POST":
            return 200, b'{"id": "j1", "status": "PENDING"}'
        return 500, b'{"code": "INTERNAL", "message": "the disk is full"}'

    with serve_answers(answer) as url:
        yield f"{url}/v1"


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
    assert 1 <= len(re.findall("could not be read", done.err)) < 16
