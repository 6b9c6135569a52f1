"""`run` against a real gateway with a real worker."""

from __future__ import annotations

import json
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from novita_gateway import Gateway
from novita_sdk import Client
from tests.support.command import Cli, Start
from tests.support.hand_worker import HandWorker
from tests.support.scripted_gateway import Answer, ScriptedGateway


class TestOutput:
    def test_is_json_on_stdout_and_the_way_there_on_stderr(self, cli: Cli, served: str) -> None:
        wish = '{"seed": 1125899906842624123, "cfg": 7.0, "text": "grün", "none": null}'
        done = cli("run", served, "--input", wish)
        assert done.code == 0
        assert json.dumps(done.json, ensure_ascii=False) == wish
        assert done.out.startswith('{\n  "seed"')
        assert "submitted to served" in done.err
        assert done.err.rstrip().endswith("COMPLETED")

    def test_input_comes_from_stdin_and_fields(self, inline: Cli, served: str) -> None:
        done = inline("run", served, "--input", "-", "-i", "steps=10", stdin='{"prompt": "x", "steps": 1}')
        assert done.json == {"prompt": "x", "steps": 10}

    def test_with_json_is_the_whole_job_in_one_line(self, inline: Cli, served: str) -> None:
        done = inline("run", served, "-i", "a=1", "--json")
        assert done.out.count("\n") == 1
        assert done.json["status"] == "COMPLETED"
        assert done.json["output"] == {"a": 1}
        assert done.json["id"]
        assert isinstance(done.json["executionTime"], int)

    def test_goes_to_a_file(self, cli: Cli, served: str, tmp_path: Path) -> None:
        done = cli("run", served, "-i", "a=1", "-o", "out.json", "-q")
        assert (done.code, done.out, done.err) == (0, "", "")
        assert json.loads((tmp_path / "out.json").read_text()) == {"a": 1}

    def test_that_can_not_be_written_says_how_to_get_it(self, inline: Cli, served: str) -> None:
        done = inline("run", served, "-i", "a=1", "-o", "/dev/full", "--json")
        assert (done.code, done.json["error"]["code"]) == (1, "FILE")
        assert f"novita-gpus output {served} " in done.err

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    @pytest.mark.parametrize("options", [(), ("--json",)])
    def test_that_does_not_fit_the_disk_of_stdout_says_how_to_get_it(
        self, start: Start, served: str, options: tuple[str, ...]
    ) -> None:
        with Path("/dev/full").open("w") as full:
            command = start("run", served, "-i", "a=1", *options, stdout=full.fileno())
            done = command.outcome()
        assert done.code == 1
        assert "can't write to standard output: No space left on device" in done.err
        assert f"novita-gpus output {served} " in done.err
        assert "Traceback" not in done.err

    @pytest.mark.parametrize(
        ("closed", "out"), [("<&-", '{\n  "a": 1\n}\n'), (">&-", ""), ("2>&-", '{\n  "a": 1\n}\n')]
    )
    def test_needs_no_stream_that_the_shell_has_closed(
        self, environment: dict[str, str], served: str, closed: str, out: str
    ) -> None:
        command = f"{shlex.quote(sys.executable)} -m novita_cli run {served} -i a=1 {closed}"
        done = subprocess.run(["sh", "-c", command], env=environment, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, out)
        assert "Traceback" not in done.stderr

    def test_that_is_big_arrives_whole(self, cli: Cli, served: str, tmp_path: Path) -> None:
        text = "ü" * 1_500_000
        (tmp_path / "in.json").write_text(json.dumps({"text": text}, ensure_ascii=False))
        assert cli("run", served, "--input", "@in.json", "-q").json == {"text": text}

    def test_does_not_depend_on_the_encoding_of_the_terminal(self, cli: Cli, served: str) -> None:
        done = cli(
            "run", served, "--input", "-", stdin='{"a": "grün\\ud83d\\ude00"}', env={"PYTHONIOENCODING": "ascii"}
        )
        assert done.json == {"a": "grün😀"}

    def test_progress_is_shown_once_for_each_change(self, cli: Cli, served: str) -> None:
        wish = {"progress": {"message": "loading\u001b[2J\nmodel", "fraction": 0.5}, "sleep": 0.6}
        done = cli("run", served, "--input", json.dumps(wish))
        assert done.err.count("IN_PROGRESS 50% loading [2J model") == 1


class TestNoWait:
    def test_prints_the_id_and_leaves_the_job_alone(self, cli: Cli, client: Client) -> None:
        done = cli("run", "cli-nobody", "-i", "a=1", "--no-wait")
        assert done.code == 0
        assert client.endpoint("cli-nobody").job(done.out.strip()).status() == "PENDING"
        assert done.err == ""

    def test_with_json_prints_an_object(self, inline: Cli) -> None:
        done = inline("run", "cli-nobody", "-i", "a=1", "--no-wait", "--json")
        assert set(done.json) == {"id", "endpoint"}

    def test_the_same_key_is_the_same_job(self, inline: Cli) -> None:
        again = ("run", "cli-nobody", "-i", "a=1", "--no-wait", "--idempotency-key", "cli-key")
        assert inline(*again).out == inline(*again).out


class TestStream:
    def test_prints_chunks_as_they_come(self, start: Start, inline: Cli, served: str) -> None:
        command = start("run", served, "--input", '{"chunks": [{"token": "a"}, "b\\nc"], "sleep": 60}', "--stream")
        assert command.process.stdout is not None
        assert json.loads(command.process.stdout.readline()) == {"token": "a"}
        assert json.loads(command.process.stdout.readline()) == "b\nc"
        command.interrupt()
        done = command.outcome()
        assert (done.code, done.out) == (130, "")
        assert f"submitted to {served}" in done.err
        (job_id,) = re.findall(rf"novita-gpus cancel {served} (\w+)", done.err)
        assert inline("cancel", served, job_id).code == 0

    def test_ends_with_the_job(self, inline: Cli, served: str) -> None:
        done = inline("run", served, "--input", '{"chunks": [1, 2]}', "--stream", "--json")
        assert (done.code, done.out) == (0, "1\n2\n")

    @pytest.mark.parametrize(("wish", "out"), [({"a": 1}, '{"a": 1}\n'), ({"chunks": []}, "")])
    def test_of_a_job_without_chunks_is_its_output(
        self, inline: Cli, served: str, wish: dict[str, object], out: str
    ) -> None:
        done = inline("run", served, "--input", json.dumps(wish), "--stream")
        assert (done.code, done.out) == (0, out)
        assert ("its handler is no generator" in done.err) == bool(out)

    def test_of_a_failing_job_exits_with_1(self, inline: Cli, served: str) -> None:
        done = inline("run", served, "--input", '{"chunks": [1], "raise": "boom"}', "--stream", "-q")
        assert (done.code, done.out) == (1, "1\n")
        assert done.err.rstrip().endswith("failed: ValueError: boom")

    def test_into_a_pipe_that_closes_early_ends_quietly(self, start: Start, served: str) -> None:
        chunks = json.dumps({"chunks": ["x" * 100_000] * 20})
        command = start("run", served, "--input", "-", "--stream", stdin=chunks)
        assert command.process.stdout is not None
        command.process.stdout.close()
        done = command.outcome()
        assert done.code == 1
        assert "Traceback" not in done.err


class TestFailure:
    def test_of_the_job_exits_with_1_and_shows_the_workers_error(self, cli: Cli, served: str) -> None:
        done = cli("run", served, "-i", "raise=boom")
        assert (done.code, done.out) == (1, "")
        assert done.err.rstrip().endswith("failed: ValueError: boom")
        assert 'raise ValueError(wish["raise"])' in done.err

    def test_of_the_job_cannot_steer_the_terminal(self, cli: Cli, served: str) -> None:
        done = cli("run", served, "--input", json.dumps({"raise": "bo\x1b[2Jom\nagain"}))
        assert done.code == 1
        assert "\x1b" not in done.err
        assert done.err.endswith("ValueError: bo [2Jom\nagain\n")

    def test_with_json_is_an_object_on_stdout(self, inline: Cli, served: str) -> None:
        done = inline("run", served, "-i", "raise=boom", "--json")
        assert done.code == 1
        error = done.json["error"]
        assert set(error) == {"code", "message", "job_id", "type", "remote_type"}
        assert (error["type"], error["remote_type"]) == ("JobFailedError", "ValueError")
        assert "ValueError: boom" in error["message"]
        assert error["job_id"] in done.err

    def test_of_the_wait_exits_with_124_and_says_how_to_go_on(self, inline: Cli, client: Client) -> None:
        done = inline("run", "cli-nobody", "-i", "a=1", "--wait", "200ms", "--json")
        assert done.code == 124
        job_id = done.json["error"]["job_id"]
        assert done.json["error"]["code"] == "WAIT_TIMEOUT"
        assert f"novita-gpus output cli-nobody {job_id}" in done.err
        assert f"novita-gpus cancel cli-nobody {job_id}" in done.err
        assert client.endpoint("cli-nobody").job(job_id).status() == "PENDING"

    def test_to_connect_exits_with_3_and_is_told_of_once_where_it_is_quiet(self, inline: Cli) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
            done = inline("run", "x", "-i", "a=1", "--base-url", url, "-q")
        assert done.code == 3
        assert "did not answer" in done.err
        assert done.err.count("Connection refused") == 1
        assert "Traceback" not in done.err

    def test_of_the_key_exits_with_3(self, inline: Cli) -> None:
        done = inline("run", "x", "-i", "a=1", "--api-key", "wrong-secret-key", "--json")
        assert done.code == 3
        assert done.json["error"]["code"] == "UNAUTHORIZED"
        assert "wrong-secret-key" not in done.out + done.err

    def test_for_want_of_a_key_says_what_to_set_and_what_needs_none(self, cli: Cli) -> None:
        done = cli("run", "x", "-i", "a=1", env={"NOVITA_API_KEY": None})
        assert done.code == 3
        assert "NOVITA_API_KEY" in done.err
        assert "`novita-gpus dev`" in done.err
        assert done.err.count("\n") == 1

    def test_for_want_of_balance_exits_with_1_and_quotes_the_gateway(
        self, inline: Cli, scripted: ScriptedGateway
    ) -> None:
        said = {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}
        scripted.script("run", Answer(status=403, body=said))
        done = inline("run", "x", "-i", "a=1", "--base-url", scripted.url, "--json")
        assert done.code == 1
        error = done.json["error"]
        assert (error["code"], error["status"], error["reason"]) == ("FORBIDDEN", 403, "NOT_ENOUGH_BALANCE")
        assert "says: not enough balance (NOT_ENOUGH_BALANCE)" in done.err

    def test_of_a_refused_key_speaks_of_options(self, inline: Cli, scripted: ScriptedGateway) -> None:
        scripted.script("run", Answer(status=401, body=b""))
        done = inline("run", "x", "-i", "a=1", "--base-url", scripted.url)
        assert done.code == 3
        assert "Check --api-key or NOVITA_API_KEY" in done.err

    def test_of_a_page_in_the_way_speaks_of_options(self, inline: Cli, scripted: ScriptedGateway) -> None:
        scripted.script("run", Answer(status=403, body=b"<h1>Blocked</h1>"))
        done = inline("run", "x", "-i", "a=1", "--base-url", scripted.url)
        assert done.code == 1
        assert "check the base URL (--base-url or NOVITA_ENDPOINT_BASE_URL)" in done.err
        assert "says: Blocked" in done.err


class TestOptions:
    def test_of_a_submit_are_sent(self, inline: Cli, gateway: Gateway) -> None:
        options = ("--webhook", "https://h/x", "--execution-timeout", "90s", "--ttl", "2m", "--low-priority")
        done = inline("run", "cli-options", "-i", "a=1", "--no-wait", *options)
        assert done.code == 0, done.err
        hand = HandWorker(gateway.worker_env("cli-options"))
        with hand.session:
            job = hand.take()
        assert job["webhook"] == "https://h/x"
        assert job["policy"] == {"executionTimeout": 90_000, "ttl": 120_000, "lowPriority": True}

    def test_of_a_batch_are_sent(self, start: Start, gateway: Gateway) -> None:
        command = start("map", "cli-map-options", "-", "--ttl", "2m", stdin='{"a": 1}')
        hand = HandWorker(gateway.worker_env("cli-map-options"))
        with hand.session:
            job = hand.take()
        assert job["policy"] == {"ttl": 120_000}
        command.interrupt()
        command.outcome()

    def test_say_where_an_object_was_taken_for_a_whole_request(self, inline: Cli) -> None:
        done = inline("run", "cli-options", "-i", "input=text", "-i", "n=2", "--no-wait")
        assert "n went beside it" in done.err
        assert 'wrap it, as in {"input": {"input": …}}.' in done.err


class TestRefusedInput:
    """Nothing listens at the address, so whatever is refused with 2 was refused before anything was sent."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ((), "there is no input"),
            (("--input", "[1]"), "must be a JSON object"),
            (("--input", '{"a": NaN}'), "input.a is nan"),
            (("-i", "a=1", "--wait", "1s", "--no-wait"), "exclude each other"),
            (("-i", "a=1", "--stream", "--no-wait"), "--stream excludes"),
            (("-i", "a=1", "--stream", "-o", "out.json"), "--stream excludes"),
            (("-i", "a=1", "-o", "missing/out.json"), "there is no folder 'missing'"),
            (("-i", "a=1", "--wait", "soon"), "not a duration"),
            (("-i", "a=1", "--ttl", "soon"), "not a duration"),
            (("-i", "a=1", "--idempotency-key", ""), "--idempotency-key must be a string of 1 to 255"),
        ],
    )
    def test_exits_with_2(self, inline: Cli, arguments: tuple[str, ...], said: str) -> None:
        done = inline("run", "ep", *arguments, "--base-url", "http://127.0.0.1:1/v1")
        assert (done.code, done.out) == (2, "")
        assert said in done.err

    def test_over_the_limit_names_size_and_limit(self, inline: Cli, tmp_path: Path) -> None:
        (tmp_path / "big.json").write_text(json.dumps({"a": "x" * 4_200_000}))
        done = inline(
            "run", "ep", "--input", f"@{tmp_path / 'big.json'}", "--base-url", "http://127.0.0.1:1/v1", "--json"
        )
        assert done.code == 2
        assert done.json["error"]["code"] == "PAYLOAD_TOO_LARGE"
        assert "4,194,304" in done.err

    def test_of_an_endpoint_name_exits_with_2(self, inline: Cli) -> None:
        done = inline("run", "a/b", "-i", "a=1")
        assert done.code == 2
        assert "'/' at position 1" in done.err

    def test_with_json_is_an_object_too(self, inline: Cli) -> None:
        done = inline("run", "ep", "--input", "[1]", "--json")
        assert done.json["error"]["code"] == "USAGE"
