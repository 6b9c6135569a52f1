from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from novita_worker import JobContext
from tests.support import comfyui
from tests.support.comfyui import RunWorkflow, Workflow, WorkflowMaker
from tests.support.reports import Unsent
from tests.support.repository import EXAMPLES

MODULES = [path.stem for path in (EXAMPLES / "comfyui-worker").glob("*.py")]


@pytest.fixture
def invert() -> Workflow:
    """A workflow that needs no model: an image of one colour, inverted."""
    return comfyui.inverted()


@pytest.fixture
def saving() -> WorkflowMaker:
    """Makes a workflow of one node, whose image is saved by node 9."""
    return comfyui.saving


@pytest.fixture
def comfyui_command(tmp_path: Path) -> tuple[str, str]:
    """URL and command of a ComfyUI that nobody has started yet: the stand-in, or the one in COMFYUI_TEST_DIR."""
    return comfyui.unstarted(tmp_path / "comfyui")


@pytest.fixture
def example(comfyui_command: tuple[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[ModuleType]:
    """The example's handler module, set up for a stand-in of its own."""
    url, command = comfyui_command
    monkeypatch.setenv("COMFYUI_URL", url)
    monkeypatch.setenv("COMFYUI_COMMAND", command)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES / "comfyui-worker"))
    for name in MODULES:
        sys.modules.pop(name, None)
    module = importlib.import_module("handler")
    yield module
    module.SERVER.stop()
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def run(example: ModuleType) -> RunWorkflow:
    """Runs one job through the example's handler."""

    async def call(workflow: object, job_id: str = "job-1", **job_input: object) -> dict[str, Any]:
        job = {"id": job_id, "input": {"workflow": workflow, **job_input}}
        context = JobContext(job, reports=Unsent())
        try:
            output: dict[str, Any] = await example.handler(job, context)
            return output
        finally:
            context.close_files()

    return call
