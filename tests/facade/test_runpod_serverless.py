"""`serverless.start`: its flags, its checks, and the API that it serves on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

import novita_gpus as runpod
from novita_gateway import Gateway
from novita_gpus.serverless.modules import rp_fitness
from novita_worker import ConfigError
from tests.support.processes import free_port, wait_for_port
from tests.support.waiting import DEADLINE
from tests.support.world import WorkerRunner, connect

HANDLER = """
import novita_gpus as runpod
from novita_gpus.serverless.utils import rp_debugger

def handler(job):
    runpod.serverless.progress_update(job, "under way")
    with rp_debugger.LineTimer("step"):
        if job["input"].get("fail"):
            raise ValueError("it failed")
    return {"got": job["input"]}

runpod.serverless.start({"handler": handler})
"""
STREAM = """
import novita_gpus as runpod

async def handler(job):
    for number in range(job["input"]["count"]):
        yield number

runpod.serverless.start({"handler": handler, "return_aggregate_stream": True})
"""


@contextmanager
def api_of(
    script: str, folder: Path, environment: dict[str, str], *flags: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Serves a script's handler; gives its URL. It ends as with Ctrl-C."""
    (folder / "handler.py").write_text(script)
    port = free_port()
    command = [sys.executable, "handler.py", "--rp_serve_api", "--rp_api_port", str(port), *flags]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, text=True, stdout=log, stderr=log)
        try:
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(DEADLINE) == 0, (folder / "log").read_text()


def test_an_api_on_this_machine(plain_environment: dict[str, str], tmp_path: Path) -> None:
    with api_of(HANDLER, tmp_path, plain_environment, "--rp_api_concurrency", "2") as (url, _):
        done = requests.post(f"{url}/runsync", json={"input": {"a": 1}}, timeout=60).json()
        assert (done["status"], done["output"]) == ("COMPLETED", {"got": {"a": 1}})
        job_id = requests.post(f"{url}/run", json={"input": {"fail": True}}, timeout=60).json()["id"]
        told = requests.get(f"{url}/status/{job_id}?wait=60000", timeout=90).json()
        while told["status"] in {"PENDING", "IN_QUEUE", "IN_PROGRESS"}:
            told = requests.get(f"{url}/status/{job_id}?wait=60000", timeout=90).json()
        assert told["status"] == "FAILED"
        assert "it failed" in told["error"]
        assert requests.post(f"{url}/status/{job_id}", timeout=60).json()["status"] == "FAILED"
        assert requests.get(f"{url}/health", timeout=60).json()["jobs"]["completed"] == 1
    log = (tmp_path / "log").read_text()
    assert f"/run, http://localhost:{url.rpartition(':')[2]}/runsync" in log
    assert "no key is asked for" not in log


def test_an_api_of_a_generator_that_others_may_reach(plain_environment: dict[str, str], tmp_path: Path) -> None:
    with api_of(STREAM, tmp_path, plain_environment, "--rp_api_host", "0.0.0.0") as (url, _):
        done = requests.post(f"{url}/runsync", json={"input": {"count": 3}}, timeout=60).json()
        assert done["output"] == [0, 1, 2]
        chunks = requests.post(f"{url}/stream/{done['id']}", timeout=60).json()
        assert [chunk["output"] for chunk in chunks["stream"]] == [0, 1, 2]
    assert "no key is asked for: everybody who reaches port" in (tmp_path / "log").read_text()


def test_the_debugger_leaves_what_is_no_dictionary(plain_environment: dict[str, str], tmp_path: Path) -> None:
    script = HANDLER.replace('return {"got": job["input"]}', 'return job["input"].get("value", {})')
    with api_of(script, tmp_path, plain_environment, "--rp_debugger") as (url, _):
        for value in ("text", [1], None, 5):
            done = requests.post(f"{url}/runsync", json={"input": {"value": value}}, timeout=60).json()
            assert (done["status"], done.get("output")) == ("COMPLETED", value)
        told = requests.post(f"{url}/runsync", json={"input": {}}, timeout=60).json()["output"]
        assert [step["name"] for step in told["rp_debugger"]["timestamps"]] == ["step"]


def test_a_port_that_is_taken_is_told(plain_environment: dict[str, str], tmp_path: Path) -> None:
    with api_of(HANDLER, tmp_path, plain_environment) as (url, _):
        done = subprocess.run(
            [sys.executable, "handler.py", "--rp_serve_api", "--rp_api_port", url.rpartition(":")[2]],
            cwd=tmp_path,
            env=plain_environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
    assert done.returncode == 1
    assert "address already in use" in done.stderr


def run_once(script: str, folder: Path, environment: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    (folder / "once.py").write_text(script)
    return subprocess.run(
        [sys.executable, "once.py", *flags],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )


CHECKED = """
import sys, threading
import novita_gpus as runpod

@runpod.serverless.register_fitness_check
async def devices():
    print("checked", file=sys.stderr)
    raise OSError("no GPU")

stay = threading.Event()
if "--hang" in sys.argv:
    # As a model's engine does that was made when the file was imported.
    threading.Thread(target=stay.wait).start()
runpod.serverless.start({"handler": lambda job: sys.argv[1:]})
"""


def test_no_check_runs_where_there_is_no_platform(plain_environment: dict[str, str], tmp_path: Path) -> None:
    done = run_once(CHECKED, tmp_path, plain_environment, "--test_input", '{"input": {}}', "--own", "flag")
    assert done.returncode == 0, done.stderr
    assert "checked" not in done.stderr
    # The flags of others are left where their program finds them.
    assert json.loads(done.stdout) == {"output": ["--own", "flag"]}


@pytest.mark.parametrize("flags", [[], ["--hang"]])
def test_a_failed_check_ends_the_worker(
    flags: list[str], gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    with connect(gateway) as client:
        job = client.endpoint("never-fit").run({})
        done = run_once(CHECKED, tmp_path, {**plain_environment, **gateway.worker_env("never-fit")}, *flags)
        assert done.returncode == 1
        assert "the fitness check devices failed: OSError: no GPU" in done.stderr
        assert job.status() in {"PENDING", "IN_QUEUE"}


def test_checks_come_before_the_user_s_own_setup(gateway: Gateway, run_worker: WorkerRunner, tmp_path: Path) -> None:
    script = tmp_path / "handler.py"
    script.write_text(
        "import novita_gpus as runpod\n"
        "seen = []\n"
        "runpod.serverless.register_fitness_check(lambda: seen.append('first'))\n"
        "@runpod.serverless.register_fitness_check\n"
        "async def second(): seen.append('second')\n"
        "runpod.serverless.start({'handler': lambda job: seen, 'setup': lambda: seen.append('setup')})\n"
    )
    with run_worker(script, "checked"), connect(gateway) as client:
        assert client.endpoint("checked").run_sync({}, timeout=60) == ["first", "second", "setup"]


async def test_checks_can_be_run_and_forgotten() -> None:
    ran: list[str] = []

    def fine() -> None:
        ran.append("fine")

    assert runpod.serverless.register_fitness_check(fine) is fine
    await rp_fitness.run_fitness_checks()
    rp_fitness.clear_fitness_checks()
    await rp_fitness.run_fitness_checks()
    assert ran == ["fine"]


@pytest.mark.parametrize("config", [print, None, "handler", {}, {"handler": 5}])
def test_a_config_that_is_none_is_refused(config: Any) -> None:
    with pytest.raises(ConfigError, match="handler"):
        runpod.serverless.start(config)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="multiprocessing spawns where there is no fork anyway")
def test_a_spawned_child_starts_nothing(plain_environment: dict[str, str], tmp_path: Path) -> None:
    script = (
        "import multiprocessing\n"
        "import novita_gpus as runpod\n"
        "def square(number): return number * number\n"
        "def handler(job):\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        "        return pool.map(square, [3])\n"
        "runpod.serverless.start({'handler': handler})\n"
    )
    with api_of(script, tmp_path, plain_environment) as (url, _):
        assert requests.post(f"{url}/runsync", json={"input": {}}, timeout=60).json()["output"] == [9]
