from __future__ import annotations

import importlib
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from novita_worker import JobContext

EXAMPLE = Path(__file__).parents[2] / "examples" / "comfyui-worker"
REAL = os.environ.get("COMFYUI_TEST_DIR")
STANDIN = Path(__file__).with_name("standin.py")

INVERT = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0x112233}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
}


@pytest.fixture
def invert() -> dict[str, Any]:
    """A workflow that needs no model: an image of one colour, inverted."""
    return {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in INVERT.items()}


@pytest.fixture
def saving() -> Callable[..., dict[str, Any]]:
    """Makes a workflow of one node, whose image is saved by node 9."""

    def make(class_type: str, **inputs: Any) -> dict[str, Any]:
        return {
            "1": {"class_type": class_type, "inputs": inputs},
            "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "saved"}},
        }

    return make


@pytest.fixture
def comfyui_command(tmp_path: Path) -> tuple[str, str]:
    """URL and command of a ComfyUI that nobody has started yet: the stand-in, or the one in COMFYUI_TEST_DIR."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url, folder = f"http://127.0.0.1:{port}", tmp_path / "comfyui"
    if not REAL:
        return url, f"{sys.executable} {STANDIN} --port {port} --dir {folder}"
    for name in ("custom_nodes", "models/checkpoints"):
        (folder / name).mkdir(parents=True)
    shutil.copy(STANDIN.with_name("testing_nodes.py"), folder / "custom_nodes")
    (folder / "models/checkpoints/flux1-dev-fp8.safetensors").touch()
    python = os.environ.get("COMFYUI_TEST_PYTHON", sys.executable)
    options = f"--cpu --disable-api-nodes --port {port} --base-directory {folder} --database-url sqlite:///:memory:"
    return url, f"{python} -u {Path(REAL) / 'main.py'} {options}"


@pytest.fixture
def example(comfyui_command: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The example's handler module, set up for a stand-in of its own."""
    url, command = comfyui_command
    monkeypatch.setenv("COMFYUI_URL", url)
    monkeypatch.setenv("COMFYUI_COMMAND", command)
    for name in ("BUCKET_ENDPOINT_URL", "NOVITA_FILES_URL", "NOVITA_WEBHOOK_GET_JOB", "RUNPOD_WEBHOOK_GET_JOB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLE))
    for name in ("handler", "comfyui"):
        sys.modules.pop(name, None)
    module = importlib.import_module("handler")
    yield module
    module.SERVER.stop()
    for name in ("handler", "comfyui"):
        sys.modules.pop(name, None)


class Unsent:
    """Reports of a job that no gateway knows."""

    def progress(self, context: JobContext) -> None: ...


@pytest.fixture
def run(example: ModuleType) -> Callable[..., Any]:
    """Runs one job through the example's handler."""

    async def call(workflow: Any, job_id: str = "job-1", **job_input: Any) -> dict[str, Any]:
        job = {"id": job_id, "input": {"workflow": workflow, **job_input}}
        context = JobContext(job, reports=Unsent())
        try:
            return await example.handler(job, context)
        finally:
            context.close_files()

    return call
