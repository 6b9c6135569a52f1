"""`map`: a job for each line of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from novita_sdk import Client
from tests.support.command import Cli, Start


@pytest.fixture
def batch(tmp_path: Path) -> Path:
    file = tmp_path / "in.jsonl"
    file.write_text('{"n": 1, "sleep": 0.2}\n\n{"raise": "boom"}\n{"n": 3}\n')
    return file


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_prints_a_line_for_each_input_in_their_order(inline: Cli, served: str, batch: Path) -> None:
    done = inline("map", served, str(batch))
    first, failed, last = lines(done.out)
    assert first == {"line": 1, "output": {"n": 1, "sleep": 0.2}}
    assert last == {"line": 4, "output": {"n": 3}}
    assert failed["line"] == 3
    assert "ValueError: boom" in failed["error"]["message"]
    assert done.code == 1
    assert "line 3: job" in done.err
    assert done.err.splitlines()[-1] == "novita-gpus: 3 of 3 jobs, 1 without an output"


def test_reads_standard_input_and_writes_a_file(cli: Cli, served: str, tmp_path: Path) -> None:
    done = cli("map", served, "-", "-o", "out.jsonl", "-q", stdin='{"n": 1}\n{"n": 2}')
    assert (done.code, done.out, done.err) == (0, "", "")
    assert [line["output"] for line in lines((tmp_path / "out.jsonl").read_text())] == [{"n": 1}, {"n": 2}]


def test_the_same_manifest_pays_for_nothing_twice(
    inline: Cli, served: str, batch: Path, tmp_path: Path, client: Client
) -> None:
    again = ("map", served, str(batch), "--manifest", str(tmp_path / "run.manifest"))
    first = inline(*again)
    known = {job.job_id for job in client.endpoint(served).jobs()}
    second = inline(*again)
    assert second.out == first.out
    assert {job.job_id for job in client.endpoint(served).jobs()} == known


def test_a_line_that_is_no_object_is_refused_before_anything_is_sent(inline: Cli, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"n": 1}\n[2]\n')
    done = inline("map", "ep", str(file), "--base-url", "http://127.0.0.1:1/v1")
    assert (done.code, done.out) == (2, "")
    assert f"{file}:2 must be a JSON object" in done.err


def test_fail_fast_stops_at_the_first_failure(inline: Cli, served: str, batch: Path) -> None:
    done = inline("map", served, str(batch), "--fail-fast", "--concurrency", "1")
    assert done.code == 1
    assert [line["line"] for line in lines(done.out)] == [1]


def test_a_refused_key_ends_the_batch(inline: Cli, batch: Path) -> None:
    done = inline("map", "ep", str(batch), "--api-key", "wrong")
    assert (done.code, done.out) == (3, "")


def test_a_file_in_utf_16_is_read_as_run_reads_it(inline: Cli, served: str, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"a": "grün"}\n', encoding="utf-16")
    assert inline("run", served, "--input", f"@{file}").json == {"a": "grün"}
    assert lines(inline("map", served, str(file)).out) == [{"line": 1, "output": {"a": "grün"}}]


def test_the_same_lines_under_the_same_key_are_the_same_jobs(
    inline: Cli, served: str, batch: Path, client: Client
) -> None:
    again = ("map", served, str(batch), "--idempotency-key", "batch-7")
    first = inline(*again)
    known = {job.job_id for job in client.endpoint(served).jobs()}
    assert inline(*again).out == first.out
    assert {job.job_id for job in client.endpoint(served).jobs()} == known


def test_an_empty_file_is_no_failure(inline: Cli, tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("\n")
    assert inline("map", "ep", str(tmp_path / "empty.jsonl")).code == 0


def test_ctrl_c_says_what_was_done_and_the_same_command_goes_on(
    start: Start, cli: Cli, served: str, tmp_path: Path
) -> None:
    wishes = [{"n": 1}, {"n": 2, "sleep": 1.5}]
    (tmp_path / "wishes.jsonl").write_text("\n".join(map(json.dumps, wishes)))
    arguments = ("map", served, "wishes.jsonl", "--manifest", "run.manifest")
    command = start(*arguments)
    assert command.process.stdout is not None
    assert json.loads(command.process.stdout.readline())["line"] == 1
    command.interrupt()
    done = command.outcome()
    assert done.code == 130
    assert "interrupted after 1 of 2 jobs" in done.err
    assert "the same command comes back to them" in done.err
    assert "Traceback" not in done.err

    again = cli(*arguments)
    assert [line["output"] for line in lines(again.out)] == wishes
