"""The example as a whole: a job from client to worker and back."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from novita_gateway import serve_in_thread
from novita_sdk import Endpoint
from novita_sdk.errors import JobCancelledError, JobFailedError
from novita_sdk.files import File
from tests.support.comfyui import Workflow, WorkflowMaker
from tests.support.processes import python_process
from tests.support.repository import EXAMPLES
from tests.support.world import connect, wait_for_worker

HANDLER = EXAMPLES / "comfyui-worker" / "handler.py"


@pytest.fixture
def environment(comfyui_command: tuple[str, str], plain_environment: dict[str, str]) -> dict[str, str]:
    """What a worker process needs to find its ComfyUI, and no bucket."""
    url, command = comfyui_command
    return plain_environment | {"COMFYUI_URL": url, "COMFYUI_COMMAND": command}


@pytest.fixture
def endpoint(environment: dict[str, str], tmp_path: Path) -> Iterator[Endpoint]:
    """The example worker, in a process of its own, behind a gateway."""
    with serve_in_thread() as gateway, connect(gateway) as client:
        variables = environment | gateway.worker_env("comfy")
        with python_process(HANDLER, environment=variables, cwd=tmp_path) as worker:
            try:
                yield client.endpoint("comfy")
            finally:
                wait_for_worker(worker, gateway, "comfy")


def run_command(words: str, environment: dict[str, str], folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "novita_cli", *shlex.split(words)]
    return subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )


def test_the_command_of_the_readme_runs_a_job(environment: dict[str, str], tmp_path: Path) -> None:
    assert run_command("init mine --template comfyui", environment, tmp_path).returncode == 0
    folder = tmp_path / "mine"
    (command,) = re.findall("`COMFYUI_URL=[^ ]+ novita-gpus ([^`]+)`", (folder / "README.md").read_text())
    result = run_command(command, environment, folder)
    assert result.returncode == 0, result.stderr
    assert base64.b64decode(json.loads(result.stdout)["images"][0]["base64"]).startswith(b"\x89PNG")
    with pytest.raises(urllib.error.URLError):  # ComfyUI ended with the command
        urllib.request.urlopen(f"{environment['COMFYUI_URL']}/queue", timeout=10)


def test_without_a_comfyui_the_job_says_what_to_set(environment: dict[str, str], tmp_path: Path) -> None:
    environment = environment | {"COMFYUI_COMMAND": ""}
    result = run_command(f"dev {HANDLER} --input @{HANDLER.with_name('job.json')}", environment, tmp_path)
    assert result.returncode == 1
    assert "set COMFYUI_URL to where it listens, or COMFYUI_COMMAND" in result.stderr
    assert "log" not in result.stderr.rpartition("ComfyUIError")[2]


def test_the_client_sees_step_progress_and_the_output(endpoint: Endpoint, saving: WorkflowMaker) -> None:
    job = endpoint.run({"workflow": saving("TestWait", steps=20, seconds=0.05)})
    progress = [update.progress for update in job.updates(timeout=180) if update.progress]
    assert any("node 1 (TestWait): step" in report["message"] for report in progress)
    assert job.output()["images"][0]["filename"] == "saved_00001_.png"


def test_an_input_image_may_be_a_file_of_the_client(endpoint: Endpoint, invert: Workflow) -> None:
    (image,) = endpoint.run({"workflow": invert}).output(timeout=180)["images"]
    file = File.from_bytes(base64.b64decode(image["base64"]), name="in.png")
    invert["1"] = {"class_type": "LoadImage", "inputs": {"image": "in.png"}}
    output = endpoint.run({"workflow": invert, "images": [{"name": "in.png", "image": file}]}).output(timeout=180)
    assert base64.b64decode(output["images"][0]["base64"]).startswith(b"\x89PNG")


def test_a_large_output_goes_through_the_gateways_own_store(endpoint: Endpoint) -> None:
    clip = {"1": {"class_type": "TestVideo", "inputs": {"filename_prefix": "clip", "size": 6_000_000}}}
    (video,) = endpoint.run({"workflow": clip}).output(timeout=180)["videos"]
    with urllib.request.urlopen(video["url"]) as answer:
        assert answer.headers["Content-Type"] == "video/mp4"
        assert len(answer.read()) == 6_000_000


def test_the_client_sees_what_failed(endpoint: Endpoint, saving: WorkflowMaker) -> None:
    with pytest.raises(JobFailedError, match=r"node 1 \(TestFail\) failed: RuntimeError") as caught:
        endpoint.run({"workflow": saving("TestFail")}).output(timeout=180)
    assert caught.value.code == "NODE_FAILED"
    assert caught.value.remote_traceback is not None
    assert "ComfyUI's traceback" in caught.value.remote_traceback


def test_cancelling_a_job_frees_the_worker(endpoint: Endpoint, saving: WorkflowMaker) -> None:
    job = endpoint.run({"workflow": saving("TestWait", steps=100_000, seconds=0.05)})
    for update in job.updates(timeout=180):
        if update.progress:
            break
    job.cancel()
    with pytest.raises(JobCancelledError):
        job.output(timeout=180)
    assert endpoint.run({"workflow": saving("TestWait", steps=1, seconds=0)}).output(timeout=180)["images"]
