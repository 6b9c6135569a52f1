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
from comfy_execution.graph_utils import GraphBuilder
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


class Exit(_Node):
    def run(self) -> Never:
        raise SystemExit(3)


class KeyboardInterrupted(_Node):
    def run(self) -> Never:
        raise KeyboardInterrupt


class CudaMemory(_Node):
    def run(self) -> Never:
        raise RuntimeError("CUDA error: out of memory")


class CublasMemory(_Node):
    def run(self) -> Never:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


class Sleep(_Node):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"seconds": ("FLOAT", {"max": 1000})}}

    def run(self, seconds: float) -> Images:
        time.sleep(seconds)
        return image()


class Mode(_Node):
    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"mode": (["fast", "slow"],)}}

    def run(self, mode: str) -> Images:
        return image()


class Expand(_Node):
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"images": ("IMAGE",)}}

    def run(self, images: torch.Tensor) -> dict[str, Any]:
        graph = GraphBuilder()
        inverted = graph.node("ImageInvert", image=images)
        graph.node("SaveImage", images=inverted.out(0), filename_prefix="expanded")
        return {"result": (inverted.out(0),), "expand": graph.finalize()}


class Text(_Node):
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {"text": ("STRING", {})}}

    def run(self, text: str) -> dict[str, Any]:
        return {"ui": {"text": [text]}}


class Key(_Node):
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:  # noqa: N802
        return {"required": {}, "hidden": {"key": "API_KEY_COMFY_ORG"}}

    def run(self, key: str | None = None) -> dict[str, Any]:
        return {"ui": {"text": [str(key)]}}


class Preview3D(_Node):
    OUTPUT_NODE = True
    RETURN_TYPES = ()

    def run(self) -> dict[str, Any]:
        folder, name, number, subfolder, _ = folder_paths.get_save_image_path(
            "mesh/shape", folder_paths.get_output_directory()
        )
        filename = f"{name}_{number:05}_.glb"
        with open(os.path.join(folder, filename), "wb") as file:  # noqa: PTH118, PTH123
            file.write(b"glTF")
        return {"ui": {"result": [f"{subfolder}/{filename}", None, None]}}


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
    "TestKeyboardInterrupt": KeyboardInterrupted,
    **{
        f"Test{node.__name__}": node
        for node in (
            *(Fail, OutOfMemory, CudaMemory, CublasMemory, Crash, Exit, Sleep, Wait, DropSockets),
            *(Mode, Expand, Text, Key, Preview3D, Video, Audio),
        )
    },
}
