"""What becomes of a ComfyUI that hangs, dies, or is not there."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import aiohttp
import pytest

from tests.comfyui.test_handler import code_of, is_working
from tests.support.comfyui import REAL, RunWorkflow, Workflow, WorkflowMaker
from tests.support.repository import EXAMPLES
from tests.support.waiting import eventually, eventually_async


@pytest.fixture
def quick(example: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short graces, for a run that does not end and for one that says nothing."""
    monkeypatch.setattr(sys.modules["comfyui"], "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(sys.modules["comfyui"], "CANCEL_SECONDS", 1.0)


@pytest.fixture
def foreign(example: ModuleType, comfyui_command: tuple[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """A ComfyUI that somebody else started."""
    with subprocess.Popen(shlex.split(comfyui_command[1])) as process:
        try:
            eventually(lambda: listens(comfyui_command[0]))
            yield process
        finally:
            process.kill()


def listens(url: str) -> bool:
    port = int(url.rpartition(":")[2])
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    return False


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").exists() and ") Z " in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.parametrize("class_type", ["TestExit", "TestKeyboardInterrupt"])
async def test_a_node_that_ends_comfyuis_thread_fails_its_job_and_the_next_one_runs(
    run: RunWorkflow, quick: None, saving: WorkflowMaker, invert: Workflow, class_type: str
) -> None:
    with pytest.raises(Exception, match=rf"hangs while running node 1 \({class_type}\).*SystemExit") as caught:
        await run(saving(class_type))
    assert code_of(caught.value) == "COMFYUI_STUCK"
    assert (await run(invert))["images"]


async def test_a_node_that_heeds_no_interrupt_is_ended_with_its_comfyui_when_its_grace_is_over(
    run: RunWorkflow, example: ModuleType, quick: None, saving: WorkflowMaker, invert: Workflow
) -> None:
    running = asyncio.create_task(run(saving("TestSleep", seconds=900)))
    await eventually_async(lambda: is_working(example))
    first = example.SERVER._process.pid
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await run(invert))["images"]
    assert example.SERVER._process.pid != first
    assert is_gone(first)


async def test_a_run_that_nothing_is_heard_of_is_given_up(
    run: RunWorkflow, quick: None, saving: WorkflowMaker, invert: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["comfyui"], "STALL_SECONDS", 1.0)
    with pytest.raises(Exception, match="nothing was heard of the run for") as caught:
        await run(saving("TestSleep", seconds=900))
    assert code_of(caught.value) == "COMFYUI_STUCK"
    monkeypatch.setattr(sys.modules["comfyui"], "STALL_SECONDS", 600.0)
    assert (await run(invert))["images"]


async def test_a_stuck_comfyui_of_somebody_else_is_reported_and_left_alone(
    run: RunWorkflow,
    example: ModuleType,
    quick: None,
    foreign: subprocess.Popen[bytes],
    saving: WorkflowMaker,
    invert: Workflow,
) -> None:
    running = asyncio.create_task(run(saving("TestSleep", seconds=900)))
    await eventually_async(lambda: is_working(example))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    with pytest.raises(Exception, match=r"was cancelled .* did not start it: start it again") as caught:
        await run(invert)
    assert code_of(caught.value) == "COMFYUI_STUCK"
    assert foreign.poll() is None


async def test_other_jobs_of_a_comfyui_that_is_started_again_say_so(
    run: RunWorkflow, example: ModuleType, quick: None, saving: WorkflowMaker
) -> None:
    first = asyncio.create_task(run(saving("TestSleep", seconds=900)))
    await eventually_async(lambda: is_working(example))
    second = asyncio.create_task(run(saving("TestWait", steps=1, seconds=0)))
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    with pytest.raises(Exception, match="for another job's sake") as caught:
        await asyncio.wait_for(second, 180)
    assert code_of(caught.value) == "COMFYUI_RESTARTED"


async def test_a_silent_listener_is_told_from_a_comfyui(
    run: RunWorkflow,
    example: ModuleType,
    comfyui_command: tuple[str, str],
    invert: Workflow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["comfyui_process"], "ANSWER_SECONDS", 1)
    listener = socket.create_server(("127.0.0.1", int(comfyui_command[0].rpartition(":")[2])))
    with listener, pytest.raises(Exception, match="what listens there does not answer") as caught:
        await run(invert)
    assert code_of(caught.value) == "COMFYUI_UNREACHABLE"


async def test_a_command_that_listens_elsewhere_than_the_url_says_is_told_at_once(
    run: RunWorkflow, example: ModuleType, invert: Workflow
) -> None:
    example.SERVER.url = "http://127.0.0.1:9"
    with pytest.raises(Exception, match="started listens on port") as caught:
        await asyncio.wait_for(run(invert), 300)
    assert code_of(caught.value) == "COMFYUI_UNREACHABLE"


def test_a_run_without_a_node_yet_names_none(example: ModuleType, invert: Workflow) -> None:
    run = sys.modules["comfyui_run"].Run(invert, None, lambda progress: None, {})
    assert run.doing == "queueing the run"
    run.is_queued = True
    assert run.doing == "starting the run"
    run.is_over_after("executing", {"node": "1"})
    assert run.doing == "running node 1 (EmptyImage)"


async def test_a_run_goes_on_when_every_connection_is_cut(
    run: RunWorkflow, example: ModuleType, saving: WorkflowMaker
) -> None:
    workflow = saving("TestWait", steps=60, seconds=0.05)
    running = asyncio.create_task(run(workflow))
    await eventually_async(lambda: is_working(example))
    async with aiohttp.ClientSession(example.SERVER.url) as somebody:
        begin = time.monotonic()
        while not running.done() and time.monotonic() - begin < 1:
            await somebody.post("/testing/cut")
            await asyncio.sleep(0.05)
    assert (await running)["images"]


if REAL:
    del test_a_run_goes_on_when_every_connection_is_cut


async def test_comfyui_ends_with_a_worker_that_is_killed(comfyui_command: tuple[str, str], tmp_path: Path) -> None:
    url, start = comfyui_command
    environment = os.environ | {"COMFYUI_URL": url, "COMFYUI_COMMAND": start}
    code = (
        "import handler, time; handler.SERVER.launch(); print(handler.SERVER._process.pid, flush=True); time.sleep(900)"
    )
    folder = EXAMPLES / "comfyui-worker"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE) as worker:  # noqa: ASYNC220
        assert worker.stdout is not None
        pid = int(worker.stdout.readline())
        await eventually_async(lambda: answers(url))
        worker.send_signal(signal.SIGKILL)
    await eventually_async(lambda: gone(pid))


async def answers(url: str) -> bool:
    return listens(url)


async def gone(pid: int) -> bool:
    return is_gone(pid)


async def test_a_device_that_fails_is_known_before_the_first_job(
    example: ModuleType, comfyui_command: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not REAL:
        example.SERVER._command += ["--device-error", "RuntimeError: CUDA error: unspecified launch failure"]
        with pytest.raises(Exception, match=r"can't compute on cpu: .*unspecified launch failure") as caught:
            await example.setup()
        assert code_of(caught.value) == "DEVICE_BROKEN"
        example.SERVER.stop()
        del example.SERVER._command[-2:]
    monkeypatch.setenv("COMFYUI_REQUIRE_GPU", "1")
    with pytest.raises(Exception, match="ComfyUI runs on the CPU") as caught:
        await example.setup()
    assert code_of(caught.value) == "NO_GPU"
    monkeypatch.delenv("COMFYUI_REQUIRE_GPU")
    await example.setup()
