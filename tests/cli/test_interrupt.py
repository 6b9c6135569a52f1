"""Ctrl-C, as a real signal."""

from __future__ import annotations

import re

from novita_sdk import Client
from tests.support.command import Start


def test_of_a_wait_says_how_to_come_back(start: Start, client: Client) -> None:
    command = start("run", "cli-interrupted", "-i", "a=1")
    command.wait_for("PENDING")
    command.interrupt()
    done = command.outcome()
    assert (done.code, done.out) == (130, "")
    (job_id,) = re.findall(r"novita-gpus output cli-interrupted (\w+)", done.err)
    assert f"novita-gpus cancel cli-interrupted {job_id}" in done.err
    assert "Traceback" not in done.err
    assert client.endpoint("cli-interrupted").job(job_id).status() == "PENDING"


def test_with_json_is_an_object_on_stdout(start: Start) -> None:
    command = start("run", "cli-interrupted", "-i", "a=1", "--json")
    command.wait_for("PENDING")
    command.interrupt()
    done = command.outcome()
    assert done.code == 130
    assert done.json["error"]["code"] == "INTERRUPTED"
    assert done.json["error"]["job_id"] in done.err


def test_of_a_stream_says_how_to_come_back(start: Start, client: Client, served: str) -> None:
    job = client.endpoint(served).run({"chunks": [1], "sleep": 20})
    command = start("stream", served, job.job_id)
    assert command.process.stdout is not None
    assert command.process.stdout.readline() == "1\n"
    command.interrupt()
    done = command.outcome()
    assert done.code == 130
    assert f"novita-gpus output {served} {job.job_id}" in done.err
    job.cancel()


def test_pressed_again_ends_without_a_traceback(start: Start) -> None:
    command = start("run", "cli-interrupted", "-i", "a=1")
    command.wait_for("PENDING")
    for _ in range(5):
        command.interrupt()
    done = command.outcome()
    assert done.code == 130
    assert "Traceback" not in done.err
