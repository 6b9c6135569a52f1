"""What a job gives back: files in a bucket or in the output itself, and texts."""

import asyncio
import base64
import mimetypes
import os
from pathlib import Path, PurePosixPath
from typing import Any

import novita_gpus
from comfyui import ComfyUI
from comfyui_errors import ComfyUIError
from comfyui_run import MODEL_3D_SUFFIXES, OutputFile, Outputs

INLINE_BYTES = 2 * 1024 * 1024  # base64 adds a third, and the platform takes outputs of up to 4 MiB
MEDIA_TYPES = {".glb": "model/gltf-binary", ".gltf": "model/gltf+json", ".webp": "image/webp", ".flac": "audio/flac"}
# The shape of entries that clients of runpod-workers/worker-comfyui expect.
TYPE_AND_DATA = os.environ.get("COMFYUI_OUTPUT_STYLE") == "worker-comfyui"


async def fetch(comfyui: ComfyUI, outputs: Outputs, wanted: str | None, folder: str) -> list[tuple[OutputFile, Path]]:
    """Brings the files of a run into a folder; raises if the run gave nothing."""
    if not outputs and not TYPE_AND_DATA:
        message = f"{f'node {wanted}' if wanted else 'the workflow'} produced no files"
        if outputs.previews:
            nodes = ", ".join(sorted(outputs.previews))
            message += f", only previews in node {nodes}: save them with SaveImage, or name it as output_node_id"
        raise ComfyUIError("NO_OUTPUT", message)
    files = [
        (file, Path(folder, f"{number}{PurePosixPath(file.filename).suffix}"))
        for number, file in enumerate(outputs.files)
    ]
    for file, path in files:
        await comfyui.fetch(file, path)
    return files


async def deliver(
    job: dict[str, Any], files: list[tuple[OutputFile, Path]], texts: list[tuple[str, str]]
) -> dict[str, Any]:
    """Uploads the files, or puts them into the output where there is no bucket and they are small."""
    output: dict[str, Any] = {}
    has_bucket = bool(os.environ.get("BUCKET_ACCESS_KEY_ID") or job.get("s3Config"))
    inline = not has_bucket and sum(path.stat().st_size for _, path in files) <= INLINE_BYTES
    for number, (file, path) in enumerate(files):
        suffix = path.suffix.lower()
        media_type = MEDIA_TYPES.get(suffix) or mimetypes.guess_type(file.filename)[0] or "application/octet-stream"
        entry = {
            "node_id": file.node_id,
            "filename": file.filename,
            "subfolder": file.subfolder,
            "media_type": media_type,
        }
        if inline:
            data = await asyncio.to_thread(path.read_bytes)
            entry["base64"] = base64.b64encode(data).decode()
        else:
            name = f"{file.node_id}-{number}-{file.filename}"
            entry["url"] = await asyncio.to_thread(novita_gpus.upload_file, name, str(path), prefix=job["id"])
        if TYPE_AND_DATA:
            entry["type"] = "base64" if inline else "s3_url"
            entry["data"] = entry.pop("base64" if inline else "url")
        kinds = {"image": "images", "video": "videos", "audio": "audio"}
        kind = "models" if suffix in MODEL_3D_SUFFIXES else kinds.get(media_type.partition("/")[0], "files")
        output.setdefault(kind, []).append(entry)
    for node_id, text in texts:
        output.setdefault("texts", []).append({"node_id": node_id, "text": text})
    return output or {"status": "success_no_images", "images": []}
