"""`status`, `output`, `stream`, `cancel` and `retry` against a real gateway."""

from __future__ import annotations

import json

from novita_sdk import Client, Job
from tests.support.command import Cli


def submit(client: Client, endpoint: str, **wish: object) -> Job:
    return client.endpoint(endpoint).run(wish)


class TestStatus:
    def test_is_a_word(self, inline: Cli, client: Client) -> None:
        job = submit(client, "cli-idle")
        assert inline("status", "cli-idle", job.job_id).out == "PENDING\n"

    def test_of_a_failed_job_is_no_failure(self, inline: Cli, client: Client, served: str) -> None:
        job = submit(client, served, **{"raise": "boom"})
        job.wait(60)
        done = inline("status", served, job.job_id, "--json")
        assert done.code == 0
        assert done.json["status"] == "FAILED"
        assert "boom" in done.json["error"]

    def test_of_an_unknown_job_exits_with_1(self, inline: Cli) -> None:
        done = inline("status", "cli-idle", "nosuchjob", "--json")
        assert done.code == 1
        assert done.json["error"]["job_id"] == "nosuchjob"
        assert "knows no such job" in done.err


class TestOutput:
    def test_waits_for_the_job(self, inline: Cli, client: Client, served: str) -> None:
        job = submit(client, served, sleep=0.3)
        done = inline("output", served, job.job_id)
        assert (done.code, done.json) == (0, {"sleep": 0.3})

    def test_quietly_says_nothing_else(self, inline: Cli, client: Client, served: str) -> None:
        job = submit(client, served, a=1)
        assert inline("output", served, job.job_id, "-q").err == ""

    def test_no_wait_exits_with_124_while_the_job_goes_on(self, inline: Cli, client: Client) -> None:
        job = submit(client, "cli-idle")
        done = inline("output", "cli-idle", job.job_id, "--no-wait")
        assert (done.code, done.out) == (124, "")
        assert job.job_id in done.err

    def test_of_a_cancelled_job_exits_with_4(self, inline: Cli, client: Client) -> None:
        job = submit(client, "cli-idle")
        job.cancel()
        done = inline("output", "cli-idle", job.job_id, "--json")
        assert done.code == 4
        assert done.json["error"]["code"] == "JOB_CANCELLED"


class TestStream:
    def test_prints_a_line_for_each_chunk(self, inline: Cli, client: Client, served: str) -> None:
        job = submit(client, served, chunks=[{"token": "a"}, "b\nc", 3])
        done = inline("stream", served, job.job_id)
        assert [json.loads(line) for line in done.out.splitlines()] == [{"token": "a"}, "b\nc", 3]

    def test_begins_with_the_chunk_that_it_is_told(self, inline: Cli, client: Client, served: str) -> None:
        job = submit(client, served, chunks=[1, 2, 3])
        assert inline("stream", served, job.job_id, "--start", "1").out == "2\n3\n"

    def test_of_a_failing_job_prints_its_chunks_and_exits_with_1(
        self, inline: Cli, client: Client, served: str
    ) -> None:
        job = submit(client, served, chunks=[1, 2], **{"raise": "boom"})
        done = inline("stream", served, job.job_id)
        assert (done.code, done.out) == (1, "1\n2\n")
        assert "boom" in done.err

    def test_that_runs_out_of_time_exits_with_124(self, inline: Cli, client: Client) -> None:
        job = submit(client, "cli-idle")
        assert inline("stream", "cli-idle", job.job_id, "--wait", "100ms").code == 124


class TestCancel:
    def test_of_a_waiting_job(self, inline: Cli, client: Client) -> None:
        job = submit(client, "cli-idle")
        assert inline("cancel", "cli-idle", job.job_id).out == "CANCELLED\n"
        assert job.status() == "CANCELLED"

    def test_of_an_unknown_job_exits_with_1(self, inline: Cli) -> None:
        assert inline("cancel", "cli-idle", "nosuchjob").code == 1


class TestRetry:
    def test_queues_a_failed_job_again(self, inline: Cli, client: Client, served: str) -> None:
        job = submit(client, served, **{"raise": "boom"})
        job.wait(60)
        done = inline("retry", served, job.job_id, "--json")
        assert done.code == 0
        assert done.json["id"] == job.job_id
        assert not done.json["status"].startswith("FAIL")

    def test_of_a_waiting_job_is_refused(self, inline: Cli, client: Client) -> None:
        job = submit(client, "cli-idle")
        done = inline("retry", "cli-idle", job.job_id)
        assert done.code == 1
        assert job.job_id in done.err
