"""For ComfyUI's `custom_nodes`: tells the worker what ComfyUI's own API can't. It adds no nodes.

GET  /worker/pulse   {"alive": true}: whether the thread that runs workflows is there; null if that can't be told
GET  /worker/device  {"device": "cuda:0", "error": null}: the device, and what a small product on it failed with
POST /worker/forget  {"files": [{"filename", "subfolder", "type"}]}: deletes inputs, outputs and previews
"""

import asyncio
import threading
from pathlib import Path

import folder_paths
import torch
from aiohttp import web
from comfy import model_management
from server import PromptServer

NODE_CLASS_MAPPINGS: dict[str, object] = {}
ROUTES = PromptServer.instance.routes
seen: list[threading.Thread] = []


@ROUTES.get("/worker/pulse")
async def pulse(_request: web.Request) -> web.Response:
    # A node that raises SystemExit or KeyboardInterrupt ends this thread, and nothing else.
    if not seen:
        seen.extend(thread for thread in threading.enumerate() if "prompt_worker" in thread.name)
    return web.json_response({"alive": seen[0].is_alive() if seen else None})


@ROUTES.get("/worker/device")
async def device(_request: web.Request) -> web.Response:
    where = model_management.get_torch_device()

    def multiply() -> str | None:
        try:
            (torch.ones(64, 64, device=where) @ torch.ones(64, 64, device=where)).sum().item()
        except Exception as error:  # noqa: BLE001  whatever a broken device raises is the answer
            return f"{type(error).__name__}: {error}"
        return None

    return web.json_response({"device": str(where), "error": await asyncio.to_thread(multiply)})


@ROUTES.post("/worker/forget")
async def forget(request: web.Request) -> web.Response:
    files = (await request.json())["files"]
    return web.json_response({"deleted": await asyncio.to_thread(lambda: sum(map(delete, files)))})


def delete(file: dict[str, str]) -> bool:
    """Deletes one file; never one outside of ComfyUI's folders."""
    folder = folder_paths.get_directory_by_type(file["type"])
    if folder is None:
        return False
    base = Path(folder).resolve()
    path = (base / file["subfolder"] / file["filename"]).resolve()
    if base not in path.parents or not path.is_file():
        return False
    path.unlink()
    return True
