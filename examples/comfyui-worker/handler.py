"""Runs ComfyUI workflows.

Input:
    workflow           a workflow in API format, as an object or as JSON text; `prompt` does too
    output_node_id     the node whose outputs to return; all output nodes if left out
    images             input files, [{"name": "in.png", "image": IMAGE}]; nodes name them by `name`. IMAGE is base64, a
                       data URI, an http(s) URL, or a file: File.from_path("in.png") on the client
    comfy_org_api_key  the key for API nodes, for this job; else COMFY_ORG_API_KEY
    extra_data         what else ComfyUI takes beside a workflow, such as {"extra_pnginfo": …}
    free_memory        true: unload the models after the run

Output: {"images": […], "videos": […], "audio": […], "models": […], "files": […]}, each entry with `node_id`,
`filename`, `subfolder`, `media_type`, and `url`, or, where no bucket is set and the files are small, `base64`; and
{"texts": […]}, each with `node_id` and `text`.
"""

import asyncio
import hashlib
import os
import shlex
import tempfile
from pathlib import PurePosixPath
from typing import Any

import novita_gpus
from comfyui import ComfyUI, check_device, connect
from comfyui_errors import ComfyUIError
from comfyui_process import Server
from job_input import JobInput, read_images, read_input, replace_inputs
from job_output import deliver, fetch

SERVER = Server(
    url=os.environ.get("COMFYUI_URL", "http://127.0.0.1:8188"),
    command=shlex.split(os.environ.get("COMFYUI_COMMAND", "")),
)


async def setup() -> None:
    """Before the first take: a ComfyUI of the worker's own has started, and its device computes."""
    needs_gpu = bool(os.environ.get("COMFYUI_REQUIRE_GPU"))
    if SERVER.has_command or needs_gpu:
        await check_device(SERVER, needs_gpu=needs_gpu)


async def handler(job: dict[str, Any], context: novita_gpus.JobContext) -> dict[str, Any]:
    """Runs one workflow."""
    asked = read_input(job["input"])
    images = await asyncio.to_thread(read_images, asked.images, context.open)
    async with connect(SERVER) as comfyui:
        await comfyui.check(asked.workflow)
        for name, data in images.items():
            # Named by content: two jobs with an input.png each do not meet, and ComfyUI's cache still works.
            path = PurePosixPath(name)
            folder, stored = str(path.parent).removeprefix("."), f"{hashlib.sha256(data).hexdigest()[:16]}-{path.name}"
            used = replace_inputs(asked.workflow, name, f"{folder}/{stored}".lstrip("/"), SERVER.choices)
            if used:
                await comfyui.upload(folder, stored, data)
            else:
                context.log.warning("no node of the workflow names the input file %r", name)
        try:
            return await run(comfyui, job, asked)
        except ComfyUIError as error:
            if error.code == "OUT_OF_MEMORY":
                await comfyui.free_memory()
            raise
        finally:
            if asked.free_memory:
                await comfyui.free_memory()


async def run(comfyui: ComfyUI, job: dict[str, Any], asked: JobInput) -> dict[str, Any]:
    """Runs the workflow, once more if ComfyUI's cache names files that are gone, and delivers what comes out."""

    def report(progress: dict[str, Any]) -> None:
        novita_gpus.progress_update(job, progress)

    with tempfile.TemporaryDirectory() as folder:
        outputs = await comfyui.run(asked.workflow, asked.wanted, report, asked.extra_data)
        try:
            files = await fetch(comfyui, outputs, asked.wanted, folder)
        except ComfyUIError as error:
            if error.code != "OUTPUT_GONE":
                raise
            outputs = await comfyui.run(asked.workflow, asked.wanted, report, asked.extra_data, afresh=True)
            files = await fetch(comfyui, outputs, asked.wanted, folder)
        return await deliver(job, files, outputs.texts)


if __name__ == "__main__":
    SERVER.launch()
    refresh = os.environ.get("REFRESH_WORKER", "").lower() == "true"
    novita_gpus.start({"handler": handler, "setup": setup, "refresh_worker": refresh})
