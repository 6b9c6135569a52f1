"""Workflows of ComfyUI, and the ComfyUI that runs them: the stand-in, or the one in COMFYUI_TEST_DIR."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any, Protocol

from tests.support.processes import free_port
from tests.support.repository import EXAMPLES, ROOT

REAL = os.environ.get("COMFYUI_TEST_DIR")

Node = dict[str, Any]
"""JSON, which tests edit."""
Workflow = dict[str, Node]


class RunWorkflow(Protocol):
    """Runs one job through the example's handler."""

    async def __call__(self, workflow: object, job_id: str = "job-1", **job_input: object) -> dict[str, Any]: ...


class WorkflowMaker(Protocol):
    """Makes a workflow of one node, whose image is saved by node 9."""

    def __call__(self, class_type: str, **inputs: object) -> Workflow: ...


def inverted() -> Workflow:
    """A workflow that needs no model: an image of one colour, inverted."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0x112233}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "inverted"}},
    }


def saving(class_type: str, **inputs: object) -> Workflow:
    """A workflow of one node, whose image is saved by node 9."""
    return {
        "1": {"class_type": class_type, "inputs": inputs},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "saved"}},
    }


def unstarted(folder: Path) -> tuple[str, str]:
    """URL and command of a ComfyUI that nobody has started yet."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    if not REAL:
        return url, f"env PYTHONPATH={ROOT} {sys.executable} -m tests.comfyui.standin --port {port} --dir {folder}"
    for name in ("custom_nodes", "models/checkpoints"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "tests" / "comfyui" / "testing_nodes.py", folder / "custom_nodes")
    shutil.copy(EXAMPLES / "comfyui-worker/custom_nodes/worker_extension.py", folder / "custom_nodes")
    shutil.copy(Path(REAL) / "custom_nodes/websocket_image_save.py", folder / "custom_nodes")
    (folder / "models/checkpoints/flux1-dev-fp8.safetensors").touch()
    python = os.environ.get("COMFYUI_TEST_PYTHON", sys.executable)
    options = f"--cpu --disable-api-nodes --port {port} --base-directory {folder} --database-url sqlite:///:memory:"
    return url, f"{python} -u {Path(REAL) / 'main.py'} {options}"
