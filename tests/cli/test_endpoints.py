"""`health`, `purge` and `list` against a real gateway."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from novita_gateway import Gateway
from novita_sdk import Client
from tests.support.command import Cli, Start
from tests.support.waiting import eventually


def test_health_counts_jobs_and_workers(inline: Cli, client: Client) -> None:
    client.endpoint("cli-health").run({})
    done = inline("health", "cli-health")
    assert done.code == 0
    assert done.json["jobs"]["inQueue"] == 1
    assert inline("health", "cli-health", "--json").out.count("\n") == 1


class TestSchema:
    def test_of_a_typed_worker_is_printed(self, inline: Cli, start: Start, gateway: Gateway, tmp_path: Path) -> None:
        (tmp_path / "typed.py").write_text(
            "from dataclasses import dataclass\n"
            "@dataclass\nclass Draw:\n    prompt: str\n"
            "def handler(request: Draw) -> str:\n    return request.prompt\n"
        )
        start("worker", "typed.py:handler", env=gateway.worker_env("cli-typed"))
        done = eventually(lambda: (outcome := inline("schema", "cli-typed")).code == 0 and outcome)
        assert done
        assert "prompt" in done.out
        assert done.json["methods"]

    def test_has_descriptors_only_where_they_are_asked_for(self, inline: Cli, client: Client, gateway: Gateway) -> None:
        environment = gateway.worker_env("cli-messages")
        url = environment["NOVITA_WEBHOOK_GET_JOB"].split("/job-take/")[0]
        schema = {"methods": [{"name": "", "input": {"type": "object"}}], "descriptors": "QUJD"}
        reply = requests.post(
            f"{url}/job-schema/w", json=schema, headers={"Authorization": environment["NOVITA_AI_API_KEY"]}, timeout=30
        )
        reply.raise_for_status()
        assert "descriptors" not in inline("schema", "cli-messages").json
        assert "descriptors" not in inline("schema", "cli-messages", "--json").json
        assert inline("schema", "cli-messages", "--raw").json["descriptors"] == "QUJD"

    def test_of_an_untyped_worker_exits_with_1(self, inline: Cli) -> None:
        done = inline("schema", "cli-health", "--json")
        assert done.code == 1
        assert done.json["error"]["code"] == "NO_SCHEMA"


class TestPurge:
    def test_removes_what_waits(self, inline: Cli, client: Client) -> None:
        client.endpoint("cli-purge").run({})
        assert inline("purge", "cli-purge", "-y").json["removed"] == 1

    def test_refuses_where_nobody_can_be_asked(self, inline: Cli, client: Client) -> None:
        job = client.endpoint("cli-unpurged").run({})
        done = inline("purge", "cli-unpurged")
        assert done.code == 2
        assert "-y says yes" in done.err
        assert job.status() == "PENDING"

    @pytest.mark.parametrize(
        ("answer", "code", "left"), [("y\n", 0, "CANCELLED"), ("n\n", 1, "PENDING"), (None, 130, "PENDING")]
    )
    def test_asks_on_a_terminal(
        self, environment: dict[str, str], client: Client, answer: str | None, code: int, left: str
    ) -> None:
        endpoint = f"cli-asked-{code}"
        job = client.endpoint(endpoint).run({})
        terminal, other_side = pty.openpty()
        with subprocess.Popen(
            [sys.executable, "-m", "novita_cli", "purge", endpoint],
            env=environment,
            stdin=other_side,
            stdout=subprocess.PIPE,
            stderr=other_side,
        ) as command:
            os.close(other_side)
            shown = b""
            while b"[y/N]" not in shown:
                shown += os.read(terminal, 65536)
            if answer is not None:
                os.write(terminal, answer.encode())
            # A signal that comes just before the command begins to read is only seen with the next one.
            while command.poll() is None:
                if answer is None:
                    command.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    command.wait(0.2)
        os.close(terminal)
        assert command.returncode == code
        assert job.status() == left


class TestList:
    def test_has_a_line_for_each_job_newest_first(self, inline: Cli, client: Client) -> None:
        ids = [client.endpoint("cli-list").run({}).job_id for _ in range(3)]
        client.endpoint("cli-list").job(ids[1]).cancel()
        lines = inline("list", "cli-list").out.splitlines()
        assert [line.split()[:2] for line in lines] == [
            [ids[2], "PENDING"],
            [ids[1], "CANCELLED"],
            [ids[0], "PENDING"],
        ]
        assert inline("list", "cli-list", "--status", "CANCELLED", "--json").json[0]["id"] == ids[1]
        assert len(inline("list", "cli-list", "--limit", "2").out.splitlines()) == 2
        for word in ("cancelled", "Cancelled"):
            assert inline("list", "cli-list", "--status", word).out.split()[0] == ids[1]

    @pytest.mark.parametrize("word", ["canceled", "done", ""])
    def test_of_a_state_that_is_none_exits_with_2(self, inline: Cli, word: str) -> None:
        done = inline("list", "cli-list", "--status", word)
        assert (done.code, done.out) == (2, "")
        assert "the states are PENDING, IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELLED, TIMED_OUT" in done.err

    def test_of_an_endpoint_without_jobs_is_empty(self, inline: Cli) -> None:
        assert inline("list", "cli-none").out == ""
        assert inline("list", "cli-none", "--json").json == []
