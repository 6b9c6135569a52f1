"""`dev`: a gateway, a worker process and a job, and that nothing of them is left."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from novita_cli._sources import Sources
from novita_sdk import Client
from tests.support.command import Cli, Start
from tests.support.processes import wait_until_gone


def worker_pid(err: str) -> int:
    (pid,) = re.findall(r"is process (\d+)", err)
    return int(pid)


class TestJob:
    def test_output_is_the_one_document_on_stdout(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "handler.py").write_text(
            "import os, novita_gpus\n"
            "print('at import')\n"
            "def handler(job):\n"
            "    print('in the handler')\n"
            "    os.system('echo from a child')\n"
            "    return {'text': 'ü' * 1_500_000}\n"
            "if __name__ == '__main__':\n"
            "    novita_gpus.start({'handler': handler})\n"
        )
        done = cli("dev", "handler.py", "-i", "a=1", env={"NOVITA_API_KEY": None, "NOVITA_ENDPOINT_BASE_URL": None})
        assert done.code == 0
        assert done.json == {"text": "ü" * 1_500_000}
        for said in ("at import", "in the handler", "from a child", "COMPLETED"):
            assert said in done.err
        wait_until_gone(worker_pid(done.err))

    def test_runs_a_named_function_that_imports_its_neighbours(self, cli: Cli, tmp_path: Path) -> None:
        folder = tmp_path / "project"
        folder.mkdir()
        (folder / "neighbour.py").write_text("NAME = 'neighbour'\n")
        (folder / "code.py").write_text("import neighbour\nasync def infer(job):\n    return neighbour.NAME\n")
        done = cli("dev", "project/code.py:infer", "--input", "{}", "-q")
        assert (done.code, done.json) == (0, "neighbour")

    def test_that_fails_exits_with_1_and_shows_the_workers_error(self, cli: Cli, handler_file: Path) -> None:
        done = cli("dev", str(handler_file), "-i", "raise=boom", "-q")
        assert (done.code, done.out) == (1, "")
        assert done.err.rstrip().splitlines()[-1].endswith("failed: ValueError: boom")

    def test_that_is_quiet_shows_no_info_of_the_worker_unless_asked(self, cli: Cli, handler_file: Path) -> None:
        done = cli("dev", str(handler_file), "-i", "a=1", "-q")
        assert (done.code, "INFO" in done.err) == (0, False)
        asked = cli("dev", str(handler_file), "-i", "a=1", "-q", env={"NOVITA_LOG_LEVEL": "INFO"})
        assert "INFO" in asked.err

    def test_with_json_the_output_and_every_error_are_a_line_of_json(self, cli: Cli, handler_file: Path) -> None:
        done = cli("dev", str(handler_file), "-i", "a=1", "-q", "--json")
        assert done.code == 0
        assert done.out.count("\n") == 1
        assert (done.json["status"], "output" in done.json) == ("COMPLETED", True)
        failed = cli("dev", str(handler_file), "-i", "raise=boom", "-q", "--json")
        assert failed.code == 1
        assert failed.json["error"]["remote_type"].endswith("ValueError")

    def test_that_takes_too_long_exits_with_124(self, cli: Cli, handler_file: Path) -> None:
        done = cli("dev", str(handler_file), "-i", "sleep=600", "--wait", "1s")
        assert done.code == 124
        assert "was not final after 1 s; gateway and worker are stopped" in done.err


class TestWorkerThatCannotServe:
    @pytest.mark.parametrize(
        ("source", "said"),
        [
            ("def handler(job): return 1\n", "without serving"),
            ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n", "was killed by SIGKILL"),
        ],
    )
    def test_is_named_and_exits_with_1(self, cli: Cli, tmp_path: Path, source: str, said: str) -> None:
        (tmp_path / "broken.py").write_text(source)
        done = cli("dev", "broken.py", "-i", "a=1")
        assert (done.code, done.out) == (1, "")
        assert said in done.err
        assert "the worker" in done.err.splitlines()[-1]

    def test_for_its_syntax_is_refused_before_anything_starts(self, inline: Cli, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("x = 1\ndef handler(job:\n")
        done = inline("dev", str(tmp_path / "broken.py"), "-i", "a=1")
        assert done.code == 2
        assert f"{tmp_path / 'broken.py'}:2: " in done.err
        assert "listens" not in done.err

    def test_dying_in_the_job_ends_the_wait(self, cli: Cli, tmp_path: Path) -> None:
        (tmp_path / "fragile.py").write_text("import os\ndef handler(job): os._exit(7)\n")
        done = cli("dev", "fragile.py:handler", "-i", "a=1")
        assert done.code == 1
        assert "the worker exited with code 7" in done.err

    def test_that_is_not_there_is_refused(self, inline: Cli) -> None:
        done = inline("dev", "missing.py", "-i", "a=1")
        assert done.code == 2
        assert "there is no file 'missing.py'" in done.err


class TestInterrupt:
    @pytest.mark.parametrize("moment", ["is process", "IN_PROGRESS"])
    def test_stops_everything(self, start: Start, handler_file: Path, moment: str) -> None:
        command = start("dev", str(handler_file), "-i", "sleep=600")
        command.wait_for(moment)
        command.interrupt()
        done = command.outcome()
        assert (done.code, done.out) == (130, "")
        assert "interrupted; gateway and worker are stopped" in done.err
        assert "Traceback" not in done.err
        for pid in re.findall(r"is process (\d+)", done.err):
            wait_until_gone(int(pid))

    def test_pressed_twice_does_not_wait_for_a_stubborn_worker(self, start: Start, tmp_path: Path) -> None:
        (tmp_path / "stubborn.py").write_text("import time\ndef handler(job): time.sleep(600)\n")
        command = start("dev", "stubborn.py:handler", "-i", "a=1")
        command.wait_for("IN_PROGRESS")
        command.interrupt()
        command.wait_for("SIGTERM: taking no more jobs")
        begin = time.monotonic()
        command.interrupt()
        done = command.outcome()
        assert time.monotonic() - begin < 60, "it waited for the handler"
        assert done.code == 130
        wait_until_gone(worker_pid(done.err))

    def test_ends_what_the_handler_started(self, start: Start, tmp_path: Path) -> None:
        (tmp_path / "parent.py").write_text(
            "import subprocess, time\n"
            "def handler(job):\n"
            "    print('child', subprocess.Popen(['sleep', '600']).pid)\n"
            "    time.sleep(600)\n"
        )
        command = start("dev", "parent.py:handler", "-i", "a=1")
        command.wait_for("child ")
        command.interrupt()
        done = command.outcome()
        (child,) = re.findall(r"^child (\d+)$", done.err, re.MULTILINE)
        wait_until_gone(int(child))


def test_killed_outright_takes_its_worker_with_it(start: Start, handler_file: Path) -> None:
    command = start("dev", str(handler_file), "-i", "sleep=600")
    command.wait_for("IN_PROGRESS")
    pid = worker_pid(command.err)
    command.process.kill()
    command.outcome()
    wait_until_gone(pid)


def test_without_input_serves_until_ctrl_c(start: Start, handler_file: Path) -> None:
    command = start("dev", str(handler_file), "--endpoint", "mine")
    command.wait_for("Ctrl-C ends both")
    (url,) = re.findall(r"export NOVITA_ENDPOINT_BASE_URL=(\S+)", command.err)
    (key,) = re.findall(r"export NOVITA_API_KEY=(\S+)", command.err)
    with Client(api_key=key, base_url=url) as client:
        assert client.endpoint("mine").run({"a": 1}).output(timeout=60) == {"a": 1}
        command.interrupt()
        done = command.outcome()
    assert (done.code, done.out) == (130, "")
    wait_until_gone(worker_pid(done.err))


class TestReload:
    def test_the_worker_follows_its_file_and_what_it_imports(self, start: Start, tmp_path: Path) -> None:
        (tmp_path / "parts").mkdir()
        (tmp_path / "parts" / "name.py").write_text("NAME = 'one'\n")
        file = tmp_path / "code.py"
        file.write_text("from parts.name import NAME\ndef infer(job): return NAME\n")
        command = start("dev", "code.py:infer", "--reload")
        command.wait_for("Ctrl-C ends both")
        (url,) = re.findall(r"export NOVITA_ENDPOINT_BASE_URL=(\S+)", command.err)
        (key,) = re.findall(r"export NOVITA_API_KEY=(\S+)", command.err)
        with Client(api_key=key, base_url=url) as client:
            endpoint = client.endpoint("dev")
            assert endpoint.run_sync({}, timeout=60) == "one"
            (tmp_path / "parts" / "name.py").write_text("NAME = 'second'\n")
            command.wait_for("name.py changed; the worker starts again")
            assert endpoint.run_sync({}, timeout=60) == "second"

            file.write_text("def infer(job: return 3\n")
            command.wait_for("it starts again when a file changes")
            assert "SyntaxError" in command.err
            file.write_text("def infer(job): return 'mended'\n")
            assert endpoint.run_sync({}, timeout=60) == "mended"
        command.interrupt()
        done = command.outcome()
        assert (done.code, done.out) == (130, "")
        assert "Traceback" not in done.err.rpartition("changed")[2]
        pids = re.findall(r"is process (\d+)", done.err)
        assert len(pids) == 4
        for pid in pids:
            wait_until_gone(int(pid))

    def test_with_an_input_is_refused(self, inline: Cli, handler_file: Path) -> None:
        done = inline("dev", str(handler_file), "--reload", "-i", "a=1")
        assert done.code == 2
        assert "--reload keeps the worker running" in done.err


def test_only_what_can_be_imported_is_watched(tmp_path: Path) -> None:
    for name in (
        "main.py",
        "pkg/part.py",
        "pkg/deep/part.py",
        "data/big/part.py",
        ".venv/lib.py",
        "site-packages/x.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "main.txt").write_text("")
    (tmp_path / "pkg" / "loop").symlink_to(tmp_path)
    sources = Sources(tmp_path)
    assert sources.changed() is None
    for name, is_watched in (
        ("main.py", True),
        ("pkg/part.py", True),
        ("pkg/deep/part.py", True),
        ("main.txt", False),
        ("data/big/part.py", False),
        (".venv/lib.py", False),
        ("site-packages/x.py", False),
    ):
        (tmp_path / name).write_text("changed")
        assert (sources.changed() == tmp_path / name) is is_watched
        assert sources.changed() is None
    (tmp_path / "pkg" / "deep" / "part.py").unlink()
    assert sources.changed() == tmp_path / "pkg" / "deep" / "part.py"
    (tmp_path / "new.py").write_text("")
    assert sources.changed() == tmp_path / "new.py"
