"""Workers that were written for `runpod` do here what they did there, with nothing but their imports changed."""

from __future__ import annotations

import difflib
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from novita_cli._app import app
from novita_gateway import Gateway
from tests.support.runpod_workers import FOLDER, WORKERS, environment_of, served
from tests.support.waiting import DEADLINE
from tests.support.world import connect, wait_for_worker

pytestmark = pytest.mark.sources  # the workers are no part of the wheel


def port(name: str, target: Path) -> Result:
    """Copies a worker as its user does."""
    return CliRunner().invoke(app, ["init", "--from", "runpod", str(FOLDER / name), "--into", str(target)])


@contextmanager
def running(
    name: str, gateway: Gateway, variables: Mapping[str, str], folder: Path, *flags: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a worker that was ported to a folder; its log is beside that."""
    with (folder.parent / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, WORKERS[name].script, *flags],
            cwd=folder,
            env={**variables, **gateway.worker_env(name), "NOVITA_LOG_LEVEL": "DEBUG"},
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(DEADLINE)


TOLD = {
    "whisper": ["Dockerfile:2: novita-gpus needs Python 3.11 or newer"],
    "sdxl": ["Dockerfile:1: the image is built on one of runpod's, which may bring its package and a start script"],
}
"""What could not be mapped of a worker."""


@pytest.mark.parametrize("name", WORKERS)
def test_only_the_imports_of_a_worker_change(name: str, tmp_path: Path) -> None:
    done = port(name, tmp_path / "mine")
    assert done.exit_code == 0
    first, *notes = done.stderr.splitlines()
    assert "requirements.txt" in first
    assert len(notes) == len(TOLD.get(name, []))
    for note, told in zip(notes, TOLD.get(name, []), strict=True):
        assert note.startswith(f"{tmp_path / 'mine'}/{told}")
    files = {path.relative_to(FOLDER / name) for path in (FOLDER / name).rglob("*.py")}
    assert files == {path.relative_to(tmp_path / "mine") for path in (tmp_path / "mine").rglob("*.py")}
    for file in files:
        before = (FOLDER / name / file).read_text().splitlines()
        after = (tmp_path / "mine" / file).read_text().splitlines()
        changed = [line for line in difflib.ndiff(before, after) if line[0] in "+-"]
        assert all(line[2:].startswith(("import ", "from ")) for line in changed), changed


@pytest.mark.parametrize("name", WORKERS)
def test_a_worker_does_what_it_did(
    name: str, gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    assert port(name, folder).exit_code == 0
    with served(tmp_path) as site, connect(gateway) as client:
        variables = {**plain_environment, **environment_of(WORKERS[name], tmp_path, site)}
        with running(name, gateway, variables, folder) as process:
            WORKERS[name].use(client.endpoint(name), site)
            if name == "sdxl":
                # The last job asked for another worker.
                assert process.wait(DEADLINE) == 0
            else:
                process.terminate()
                assert process.wait(DEADLINE) == 0
    log = (tmp_path / "log").read_text()
    assert log.count("code written for runpod runs here") == 1
    # What was downloaded went with the jobs, and a worker leaves no state behind.
    left = [path for name in ("jobs", "job_files") for path in (folder / name).rglob("*") if path.is_file()]
    assert left == []


def test_a_failed_fitness_check_ends_the_worker_before_its_first_job(
    gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    assert port("xtts", tmp_path / "mine").exit_code == 0
    variables = {**plain_environment, "WORKER_MODEL_DIR": "nowhere"}
    with running("xtts", gateway, variables, tmp_path / "mine") as process:
        assert process.wait(DEADLINE) == 1
    assert "the fitness check model_is_there failed: RuntimeError: no model files" in (tmp_path / "log").read_text()


def test_a_start_error_reaches_the_client(gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path) -> None:
    assert port("vllm", tmp_path / "mine").exit_code == 0
    variables = {**plain_environment, "MODEL_NAME": "missing"}
    with connect(gateway) as client, running("vllm", gateway, variables, tmp_path / "mine") as process:
        wait_for_worker(process, gateway, "vllm")
        info = client.endpoint("vllm").run({"prompt": "a"}).wait(timeout=DEADLINE)
    assert info.status == "FAILED"
    assert "the engine could not be loaded: no such model" in str(info.error)
    log = (tmp_path / "log").read_text()
    assert "ERROR   novita_worker.job [worker=" in log  # before start() had set up the log


def test_the_debugger_puts_its_times_into_the_output(
    gateway: Gateway, plain_environment: dict[str, str], tmp_path: Path
) -> None:
    folder = tmp_path / "mine"
    assert port("whisper", folder).exit_code == 0
    with served(tmp_path) as site, connect(gateway) as client:
        variables = {**plain_environment, **environment_of(WORKERS["whisper"], tmp_path, site)}
        with running("whisper", gateway, variables, folder, "--rp_debugger"):
            for _ in range(2):
                output = client.endpoint("whisper").run_sync({"audio": f"{site}/speech.wav"}, timeout=DEADLINE)
                told = output["rp_debugger"]
                names = [step["name"] for step in told["timestamps"]]
                assert names == ["transcribe", "check", "download", "model", "clean up"]
                assert told["system_info"]["python_version"] == sys.version.split()[0]
