"""Node classes that only the tests have, for a real ComfyUI; the stand-in has the same ones."""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import os
import time
from typing import Any, Never

import folder_paths
import torch
from comfy import model_management, utils
from server import PromptServer

Images = tuple[torch.Tensor]


class _Node:
    CATEGORY = "test"
    FUNCTION = "run"
    RETURN_TYPES: tuple[str, ...] = ("IMAGE",)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {}}

    @classmethod
    def IS_CHANGED(cls, **inputs: object) -> float:  # noqa: N802
        return time.time()


def image() -> Images:
    return (torch.zeros(1, 1, 1, 3),)


class Fail(_Node):
    def run(self) -> Never:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


class OutOfMemory(_Node):
    def run(self) -> Never:
        raise model_management.OOM_EXCEPTION("Allocation on device")


class Crash(_Node):
    def run(self) -> Never:
        print("Segmentation fault in a custom node", flush=True)
        os._exit(139)


class Wait(_Node):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"steps": ("INT", {"max": 1_000_000}), "seconds": ("FLOAT", {"step": 0.001})}}

    def run(self, steps: int, seconds: float) -> Images:
        progress = utils.ProgressBar(steps)
        for _ in range(steps):
            time.sleep(seconds)
            model_management.throw_exception_if_processing_interrupted()
            progress.update(1)
        return image()


class DropSockets(_Node):
    def run(self) -> Images:
        server = PromptServer.instance
        for socket in list(server.sockets.values()):
            asyncio.run_coroutine_threadsafe(socket.close(), server.loop).result()
        return image()


class _Output(_Node):
    OUTPUT_NODE = True
    RETURN_TYPES = ()
    kind, suffix = "", ""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"filename_prefix": ("STRING", {}), "size": ("INT", {"max": 1 << 30})}}

    def run(self, filename_prefix: str, size: int) -> dict[str, Any]:
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            filename_prefix, folder_paths.get_output_directory()
        )
        filename = f"{name}_{number:05}_{self.suffix}"
        with open(os.path.join(folder, filename), "wb") as file:  # noqa: PTH118, PTH123
            file.write(bytes(size))
        return {"ui": {self.kind: [{"filename": filename, "subfolder": subfolder, "type": "output"}], "text": ["done"]}}


class Video(_Output):
    kind, suffix = "gifs", ".mp4"


class Audio(_Output):
    kind, suffix = "audio", ".flac"


NODE_CLASS_MAPPINGS = {
    f"Test{node.__name__}": node for node in (Fail, OutOfMemory, Crash, Wait, DropSockets, Video, Audio)
}
