from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
import struct
import sys
import traceback
import urllib.request
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.support.comfyui import RunWorkflow, Workflow, WorkflowMaker
from tests.support.repository import EXAMPLES
from tests.support.waiting import eventually_async

FLUX = json.loads((EXAMPLES / "comfyui-worker/workflow.json").read_text())


def first_pixel(png: bytes) -> str:
    start = png.index(b"IDAT") + 4
    (length,) = struct.unpack(">I", png[start - 8 : start - 4])
    return zlib.decompress(png[start : start + length])[1:4].hex()


def a_png(color: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    pixels = zlib.compress(b"\0" + color.to_bytes(3, "big"))
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def code_of(error: Exception) -> object:
    """The code of the example's own error, whose class is only there once its module is."""
    return vars(error)["code"]


def notes(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error))


async def test_a_workflow_without_models_gives_an_image(run: RunWorkflow, invert: Workflow) -> None:
    output = await run(invert, output_node_id="9")
    (image,) = output["images"]
    assert first_pixel(base64.b64decode(image.pop("base64"))) == "eeddcc"
    assert image == {"node_id": "9", "filename": "inverted_00001_.png", "subfolder": "", "media_type": "image/png"}


@pytest.mark.skipif("COMFYUI_TEST_DIR" in os.environ, reason="needs the model's weights")
async def test_the_documented_flux_workflow_runs_and_reports_its_steps(
    run: RunWorkflow, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Any]] = []
    monkeypatch.setattr(example.novita_gpus, "progress_update", lambda job, progress: seen.append(progress))
    output = await run(FLUX, output_node_id="9")
    assert len(output["images"]) == 1
    fractions = [progress["fraction"] for progress in seen]
    assert fractions == sorted(fractions)
    assert "node 3 (KSampler): step 7 of 10" in [progress["message"] for progress in seen]
    assert seen[-1]["message"] == "node 9 (SaveImage)"


async def test_a_cached_run_gives_its_image_again(run: RunWorkflow, invert: Workflow) -> None:
    (first,) = (await run(invert))["images"]
    (second,) = (await run(invert))["images"]
    assert first_pixel(base64.b64decode(first["base64"])) == first_pixel(base64.b64decode(second["base64"]))


async def test_all_output_nodes_are_collected_by_kind_without_previews(run: RunWorkflow, invert: Workflow) -> None:
    invert["10"] = {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}
    invert["11"] = {"class_type": "TestAudio", "inputs": {"filename_prefix": "audio/sound", "size": 5}}
    invert["12"] = {"class_type": "TestVideo", "inputs": {"filename_prefix": "clip", "size": 100}}
    output = await run(invert)
    assert {kind: [file["node_id"] for file in files] for kind, files in output.items()} == {
        "images": ["9"],
        "audio": ["11"],
        "videos": ["12"],
        "texts": ["11", "12"],
    }
    assert [file["node_id"] for file in (await run(invert, output_node_id=10))["images"]] == ["10"]


async def test_input_images_of_two_jobs_do_not_meet(run: RunWorkflow) -> None:
    workflow: Workflow = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "in.png"}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "x"}},
    }

    async def one(color: int, prefix: str) -> str:
        copy = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in workflow.items()}
        image = prefix + base64.b64encode(a_png(color)).decode()
        output = await run(copy, images=[{"name": "in.png", "image": image}])
        return first_pixel(base64.b64decode(output["images"][0]["base64"]))

    colors = await asyncio.gather(one(0x112233, ""), one(0x0000FF, "data:image/png;base64,\n"))
    assert [*colors] == ["eeddcc", "ffff00"]


async def test_input_images_may_be_urls_and_files(
    run: RunWorkflow, invert: Workflow, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    png = a_png(0x112233)

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=png)

    app = web.Application()
    app.router.add_get("/in.png", answer)
    invert["1"] = {"class_type": "LoadImage", "inputs": {"image": "in.png"}}
    monkeypatch.setenv("NOVITA_FILE_CACHE", str(tmp_path / "cache"))
    async with TestServer(app) as site:
        monkeypatch.setenv("NOVITA_FETCH_ALLOW_HOSTS", f"{site.host}:{site.port}")
        url = str(site.make_url("/in.png"))
        file = {"url": url, "name": "in.png", "size": len(png), "sha256": hashlib.sha256(png).hexdigest()}
        for image in (url, file):
            workflow = {node_id: {**node, "inputs": dict(node["inputs"])} for node_id, node in invert.items()}
            (output,) = (await run(workflow, images=[{"name": "in.png", "image": image}]))["images"]
            assert first_pixel(base64.b64decode(output["base64"])) == "eeddcc"


async def test_files_go_to_a_bucket_that_is_set_by_its_region_alone(
    run: RunWorkflow, invert: Workflow, example: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploaded: list[str] = []
    monkeypatch.setenv("BUCKET_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("BUCKET_REGION", "eu-west-1")

    def upload(name: str, path: object, prefix: object) -> str:
        uploaded.append(name)
        return "url"

    monkeypatch.setattr(example.novita_gpus, "upload_file", upload)
    (image,) = (await run(invert))["images"]
    assert (image["url"], len(uploaded)) == ("url", 1)


async def test_large_files_are_uploaded(run: RunWorkflow) -> None:
    clip = {"1": {"class_type": "TestVideo", "inputs": {"filename_prefix": "clip", "size": 3_000_000}}}
    (video,) = (await run(clip))["videos"]
    assert Path(video["url"]).stat().st_size == 3_000_000  # noqa: ASYNC240
    assert "base64" not in video


@pytest.mark.parametrize(
    ("job_input", "says"),
    [
        ({}, "API format"),
        ({"workflow": {}}, "API format"),
        ({"workflow": {"nodes": [], "links": []}}, "Export"),
        ({"workflow": {"1": {"inputs": {}}}}, "node 1 of the workflow has no class_type"),
        ({"workflow": {"1": {"class_type": "X"}}}, "node 1 of the workflow has no inputs"),
        ({"workflow": {"1": {"class_type": "X", "inputs": {"a": ["7", 0]}}}}, "links to node 7"),
        ({"workflow": FLUX, "output_node_id": "99"}, "output_node_id '99'"),
        ({"workflow": FLUX, "images": [{"name": "a.png", "image": "not base64!"}]}, "'a.png' is not valid base64"),
        ({"workflow": FLUX, "images": [{"name": "a.png"}]}, "needs a"),
    ],
)
async def test_input_that_makes_no_sense_is_refused_before_comfyui_is_asked(
    run: RunWorkflow, example: ModuleType, job_input: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        await run(**{"workflow": None, **job_input})
    assert example.SERVER._process is None


async def test_missing_node_classes_are_all_named(run: RunWorkflow, invert: Workflow) -> None:
    invert["2"]["class_type"] = "NotInstalled"
    invert["3"] = {"class_type": "NorThis", "inputs": {}}
    with pytest.raises(Exception, match=r"NorThis \(node 3\), NotInstalled \(node 2\)") as caught:
        await run(invert)
    assert code_of(caught.value) == "MISSING_NODE_CLASS"


async def test_a_missing_model_is_named(run: RunWorkflow) -> None:
    workflow = {**FLUX, "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "absent.safetensors"}}}
    with pytest.raises(Exception, match=r"node 4 \(CheckpointLoaderSimple\).*absent\.safetensors.*flux1-dev") as caught:
        await run(workflow)
    assert code_of(caught.value) == "MISSING_MODEL"


async def test_a_wanted_output_that_is_refused_fails_the_job_although_others_could_run(
    run: RunWorkflow, invert: Workflow, example: ModuleType
) -> None:
    invert["8"] = {"class_type": "SaveImage", "inputs": {"filename_prefix": "no-images"}}
    with pytest.raises(Exception, match=r"node 8 \(SaveImage\): Required input is missing") as caught:
        await run(invert, output_node_id="8")
    assert code_of(caught.value) == "WORKFLOW_REFUSED"
    assert (await run(invert, output_node_id="9"))["images"]


async def test_a_failed_node_is_reported_with_its_traceback(run: RunWorkflow, saving: WorkflowMaker) -> None:
    with pytest.raises(Exception, match=r"node 1 \(TestFail\) failed: RuntimeError: mat1 and mat2") as caught:
        await run(saving("TestFail"))
    assert code_of(caught.value) == "NODE_FAILED"
    assert "raise RuntimeError(" in notes(caught.value)


async def test_out_of_memory_has_a_code_of_its_own_and_frees_the_memory(
    run: RunWorkflow, saving: WorkflowMaker, comfyui_command: tuple[str, str]
) -> None:
    with pytest.raises(Exception, match=r"node 1 \(TestOutOfMemory\) failed: torch.OutOfMemoryError") as caught:
        await run(saving("TestOutOfMemory"))
    assert code_of(caught.value) == "OUT_OF_MEMORY"
    assert freed(comfyui_command[0]) in {1, None}


async def test_memory_is_freed_on_request(run: RunWorkflow, invert: Workflow, comfyui_command: tuple[str, str]) -> None:
    await run(invert, free_memory=True)
    assert freed(comfyui_command[0]) in {1, None}


async def test_a_crash_fails_the_job_with_the_log_and_the_next_job_runs(
    run: RunWorkflow, saving: WorkflowMaker, invert: Workflow
) -> None:
    with pytest.raises(Exception, match=r"ComfyUI ended with status 139 while running node 1 \(TestCrash\)") as caught:
        await run(saving("TestCrash"), free_memory=True)
    assert code_of(caught.value) == "COMFYUI_CRASHED"
    assert "Segmentation fault in a custom node" in notes(caught.value)
    assert (await run(invert))["images"]


async def test_a_comfyui_killed_from_outside_is_started_again(
    run: RunWorkflow, example: ModuleType, saving: WorkflowMaker, invert: Workflow
) -> None:
    running = asyncio.create_task(run(saving("TestWait", steps=1000, seconds=0.01)))
    await eventually_async(lambda: is_working(example))
    os.kill(example.SERVER._process.pid, signal.SIGKILL)
    with pytest.raises(Exception, match="ended with status -9"):
        await running
    assert (await run(invert))["images"]


async def test_a_comfyui_that_can_not_start_fails_the_job_with_its_log(
    run: RunWorkflow, example: ModuleType, invert: Workflow
) -> None:
    example.SERVER._command = ["sh", "-c", "echo no such file main.py; exit 2"]
    with pytest.raises(Exception, match="ended with status 2 while starting") as caught:
        await run(invert)
    assert "no such file main.py" in notes(caught.value)


async def test_a_cancelled_job_interrupts_its_run_and_nothing_else(
    run: RunWorkflow, example: ModuleType, saving: WorkflowMaker, invert: Workflow
) -> None:
    first = asyncio.create_task(run(saving("TestWait", steps=1000, seconds=0.01)))
    await eventually_async(lambda: is_working(example))
    second = asyncio.create_task(run(saving("TestWait", steps=3, seconds=0.01)))
    third = asyncio.create_task(run(saving("TestWait", steps=1000, seconds=0.02)))
    await eventually_async(lambda: are_pending(example, 2))
    for task in (first, third):
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert (await second)["images"]
    assert await queue(example) == {"queue_running": [], "queue_pending": []}


async def test_a_run_that_was_taken_out_of_the_queue_fails_its_job(
    run: RunWorkflow, example: ModuleType, saving: WorkflowMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["comfyui"], "QUIET_SECONDS", 0.2)
    first = asyncio.create_task(run(saving("TestWait", steps=1000, seconds=0.1)))
    await eventually_async(lambda: is_working(example))
    second = asyncio.create_task(run(saving("TestWait", steps=1, seconds=0)))
    await eventually_async(lambda: are_pending(example, 1))
    async with aiohttp.ClientSession(example.SERVER.url) as somebody:
        await somebody.post("/queue", json={"clear": True})
    with pytest.raises(Exception, match="no longer has the run") as caught:
        await asyncio.wait_for(second, 120)
    assert code_of(caught.value) == "RUN_LOST"
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_lost_websocket_is_opened_again(run: RunWorkflow, saving: WorkflowMaker) -> None:
    workflow = saving("TestDropSockets")
    workflow["2"] = {"class_type": "TestWait", "inputs": {"steps": 20, "seconds": 0.02}}
    workflow["10"] = {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "late"}}
    assert len((await run(workflow))["images"]) == 2


def freed(url: str) -> int | None:
    """How often memory was freed; only the stand-in tells."""
    with urllib.request.urlopen(f"{url}/system_stats") as answer:
        count: int | None = json.load(answer).get("freed")
        return count


async def queue(example: ModuleType) -> dict[str, Any]:
    async with aiohttp.ClientSession(example.SERVER.url) as session, session.get("/queue") as answer:
        queued: dict[str, Any] = await answer.json()
        return queued


async def is_working(example: ModuleType) -> bool:
    try:
        return bool((await queue(example))["queue_running"])
    except aiohttp.ClientError:
        return False


async def are_pending(example: ModuleType, count: int) -> bool:
    return len((await queue(example))["queue_pending"]) == count
