"""Runs ComfyUI workflows.

Input:
    workflow        a workflow in API format
    output_node_id  the node whose files to return; all output nodes if left out
    images          input files, [{"name": "in.png", "image": IMAGE}]; nodes name them by `name`. IMAGE is base64, a
                    data URI, an http(s) URL, or a file: File.from_path("in.png") on the client
    free_memory     true: unload the models after the run

Output: {"images": […], "videos": […], "audio": […], "files": […]}, each entry with `node_id`, `filename`,
`media_type`, and `url`, or, where no bucket is set and the files are small, `base64`.
"""

import asyncio
import base64
import hashlib
import mimetypes
import os
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import novita_gpus
from comfyui import ComfyUI, ComfyUIError, OutputFile, Server, Workflow, connect

INLINE_BYTES = 2 * 1024 * 1024  # base64 adds a third, and the platform takes outputs of up to 4 MiB

SERVER = Server(
    url=os.environ.get("COMFYUI_URL", "http://127.0.0.1:8188"),
    command=shlex.split(os.environ.get("COMFYUI_COMMAND", "")),
)


async def handler(job: dict[str, Any], context: novita_gpus.JobContext) -> dict[str, Any]:
    """Runs one workflow."""
    job_input = job["input"]
    workflow, wanted = read_workflow(job_input)
    images = await asyncio.to_thread(read_images, job_input, context.open)
    async with connect(SERVER) as comfyui:
        await comfyui.check(workflow)
        for name, data in images.items():
            # Named by content: two jobs with an input.png each do not meet, and ComfyUI's cache still works.
            stored = await comfyui.upload(f"{hashlib.sha256(data).hexdigest()[:16]}-{name}", data)
            replace_inputs(workflow, name, stored)
        try:
            files = await comfyui.run(workflow, wanted, lambda progress: novita_gpus.progress_update(job, progress))
            if not files:
                raise ComfyUIError("NO_OUTPUT", f"{f'node {wanted}' if wanted else 'the workflow'} produced no files")
            return await deliver(comfyui, job, files)
        except ComfyUIError as error:
            if error.code == "OUT_OF_MEMORY":
                await comfyui.free_memory()
            raise
        finally:
            if job_input.get("free_memory"):
                await comfyui.free_memory()


def read_workflow(job_input: object) -> tuple[Workflow, str | None]:
    """The workflow and the id of the wanted node, or a ValueError that says what is wrong with them."""
    members = job_input if isinstance(job_input, dict) else {}
    workflow = members.get("workflow")
    if not isinstance(workflow, dict) or not workflow:
        raise ValueError("input.workflow must be a ComfyUI workflow in API format")
    if "nodes" in workflow and "links" in workflow:
        raise ValueError("input.workflow is the editor's format: export it with File > Export (API)")
    for node_id, node in workflow.items():
        if not isinstance(node, dict) or not isinstance(node.get("class_type"), str):
            raise ValueError(f"node {node_id} of the workflow has no class_type")
        if not isinstance(node.get("inputs"), dict):
            raise ValueError(f"node {node_id} of the workflow has no inputs")
        for name, value in node["inputs"].items():
            if is_link(value) and value[0] not in workflow:
                raise ValueError(f"input {name!r} of node {node_id} links to node {value[0]}, which is not there")
    wanted = members.get("output_node_id")
    if wanted is not None and str(wanted) not in workflow:
        raise ValueError(f"output_node_id {wanted!r} is not a node of the workflow, which has {', '.join(workflow)}")
    return workflow, None if wanted is None else str(wanted)


def read_images(job_input: dict[str, Any], open_file: Callable[[Any], Path]) -> dict[str, bytes]:
    """The input files by name, or a ValueError; a FileError for one that can't be fetched."""
    images = {}
    for image in job_input.get("images") or []:
        if not isinstance(image, dict) or not image.get("name") or not isinstance(image.get("image"), str | dict):
            raise ValueError('each of input.images needs a "name" and an "image": base64, a URL or a file')
        name, content = PurePosixPath(str(image["name"])).name, image["image"]
        if isinstance(content, dict) or content.startswith(("http://", "https://")):
            images[name] = open_file(content).read_bytes()
            continue
        try:
            images[name] = base64.b64decode("".join(content.rpartition("base64,")[2].split()), validate=True)
        except ValueError as error:
            raise ValueError(f"the image {name!r} is not valid base64") from error
    return images


def replace_inputs(workflow: Workflow, name: str, stored: str) -> None:
    """Makes every node that names an input file name it as it is stored."""
    for node in workflow.values():
        node["inputs"] = {key: stored if value == name else value for key, value in node["inputs"].items()}


def is_link(value: object) -> bool:
    """Whether an input comes from another node: [node id, output index]."""
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], int)


async def deliver(comfyui: ComfyUI, job: dict[str, Any], files: list[OutputFile]) -> dict[str, Any]:
    """Uploads the files, or puts them into the output where there is no bucket and they are small."""
    output: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{number}{Path(file.filename).suffix}") for number, file in enumerate(files)]
        for file, path in zip(files, paths, strict=True):
            await comfyui.fetch(file, path)
        has_bucket = bool(os.environ.get("BUCKET_ACCESS_KEY_ID") or job.get("s3Config"))
        inline = not has_bucket and sum(path.stat().st_size for path in paths) <= INLINE_BYTES
        for number, (file, path) in enumerate(zip(files, paths, strict=True)):
            media_type = mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
            entry = {"node_id": file.node_id, "filename": file.filename, "media_type": media_type}
            if inline:
                entry["base64"] = base64.b64encode(path.read_bytes()).decode()
            else:
                name = f"{file.node_id}-{number}-{file.filename}"
                entry["url"] = await asyncio.to_thread(novita_gpus.upload_file, name, str(path), prefix=job["id"])
            kind = {"image": "images", "video": "videos", "audio": "audio"}.get(media_type.partition("/")[0], "files")
            output.setdefault(kind, []).append(entry)
    return output


if __name__ == "__main__":
    SERVER.launch()
    novita_gpus.start({"handler": handler})
