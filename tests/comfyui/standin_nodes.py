"""The stand-in's nodes. Core classes do roughly what their names say; the `Test` ones are those of testing_nodes.py."""

# ruff: noqa: T201
from __future__ import annotations

import asyncio
import os
import struct
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.comfyui.standin_queue import Server


def png(width: int, height: int, color: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + color.to_bytes(3, "big") * width
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row * height))
        + chunk(b"IEND", b"")
    )


class OutOfMemoryError(Exception):
    pass


Runner = Callable[["Server", str, dict[str, Any]], Awaitable[tuple[Any, dict[str, Any] | None]]]


@dataclass
class NodeClass:
    required: dict[str, list[Any]]
    run: Runner
    outputs: list[str] = field(default_factory=list)
    output_node: bool = False
    optional: dict[str, list[Any]] = field(default_factory=dict)

    def info(self, name: str) -> dict[str, Any]:
        return {
            "input": {"required": self.required, "optional": self.optional},
            "input_order": {"required": list(self.required), "optional": list(self.optional)},
            "output": self.outputs,
            "output_is_list": [False] * len(self.outputs),
            "output_name": self.outputs,
            "name": name,
            "display_name": name,
            "description": "",
            "python_module": "nodes",
            "category": "test",
            "output_node": self.output_node,
        }


def node_classes(models: list[str]) -> dict[str, NodeClass]:
    async def nothing(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        return dict(inputs), None

    async def empty_image(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        return [(inputs["width"], inputs["height"], inputs["color"])] * inputs["batch_size"], None

    async def invert(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        return [(width, height, 0xFFFFFF - color) for width, height, color in inputs["image"]], None

    async def load_image(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        data = server.input_file(inputs["image"]).read_bytes()
        width, height = struct.unpack(">II", data[16:24])
        start = data.index(b"IDAT") + 4
        (length,) = struct.unpack(">I", data[start - 8 : start - 4])
        return [(width, height, int.from_bytes(zlib.decompress(data[start : start + length])[1:4], "big"))], None

    async def sample(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        await server.steps(node_id, inputs["steps"], 0.01)
        return inputs["latent_image"], None

    async def decode(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        latent = inputs["samples"]
        return [(latent["width"], latent["height"], 0x336699)] * latent["batch_size"], None

    def saver(kind: str) -> Runner:
        async def run(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            prefix = inputs.get("filename_prefix", "ComfyUI")
            return None, {"images": [server.save(prefix, kind, png(*image), ".png") for image in inputs["images"]]}

        return run

    def writer(
        kind: str, suffix: str
    ) -> Callable[[Server, str, dict[str, Any]], Awaitable[tuple[Any, dict[str, Any]]]]:
        async def run(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            saved = server.save(inputs["filename_prefix"], "output", bytes(inputs["size"]), suffix)
            return None, {kind: [saved], "text": ["done"]}

        return run

    async def fail(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    async def no_memory(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        raise OutOfMemoryError("Allocation on device")

    async def crash(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        print("Segmentation fault in a custom node", flush=True)
        os._exit(139)

    async def wait(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        await server.steps(node_id, inputs["steps"], inputs["seconds"])
        return [(1, 1, 0)], None

    async def drop(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        for socket in list(server.sockets.values()):
            await socket.close()
        return [(1, 1, 7)], None

    def raising(error: BaseException) -> Runner:
        async def run(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
            raise error

        return run

    async def sleep(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        # As a node that looks at no interrupt, while the server goes on answering.
        await asyncio.sleep(inputs["seconds"])
        return [(1, 1, 0)], None

    async def expand(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        saved = [server.save("expanded", "output", png(*image), ".png") for image in inputs["images"]]
        return inputs["images"], {"expanded": {"images": saved}}

    async def to_websocket(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        assert server.running is not None
        sid = server.running.extra_data["client_id"]
        for image in inputs["images"]:
            await server.sockets[sid].send_bytes(struct.pack(">II", 1, 2) + png(*image))
        return None, None

    async def tell(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return None, {"text": [inputs["text"]]}

    async def key_of(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        assert server.running is not None
        return None, {"text": [str(server.running.extra_data.get("api_key_comfy_org"))]}

    async def preview_3d(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        saved = server.save("mesh/shape", "output", b"glTF", ".glb")
        return None, {"result": [f"{saved['subfolder']}/{saved['filename']}", None, None]}

    size: list[Any] = ["INT", {"default": 512, "min": 1, "max": 16384}]
    file: dict[str, list[Any]] = {"filename_prefix": ["STRING", {}], "size": ["INT", {}]}
    image: dict[str, list[Any]] = {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}
    return {
        "EmptyImage": NodeClass(
            {"width": size, "height": size, "batch_size": size, "color": ["INT", {"min": 0}]}, empty_image, ["IMAGE"]
        ),
        "ImageInvert": NodeClass({"image": ["IMAGE"]}, invert, ["IMAGE"]),
        "LoadImage": NodeClass({"image": [[], {"image_upload": True}]}, load_image, ["IMAGE", "MASK"]),
        "CheckpointLoaderSimple": NodeClass({"ckpt_name": [models]}, nothing, ["MODEL", "CLIP", "VAE"]),
        "EmptyLatentImage": NodeClass({"width": size, "height": size, "batch_size": size}, nothing, ["LATENT"]),
        "CLIPTextEncode": NodeClass({"clip": ["CLIP"], "text": ["STRING"]}, nothing, ["CONDITIONING"]),
        "KSampler": NodeClass({"model": ["MODEL"], "latent_image": ["LATENT"], "steps": size}, sample, ["LATENT"]),
        "VAEDecode": NodeClass({"samples": ["LATENT"], "vae": ["VAE"]}, decode, ["IMAGE"]),
        "SaveImage": NodeClass(image, saver("output"), [], output_node=True),
        "PreviewImage": NodeClass({"images": ["IMAGE"]}, saver("temp"), [], output_node=True),
        "TestVideo": NodeClass(file, writer("gifs", ".mp4"), [], output_node=True),
        "TestAudio": NodeClass(file, writer("audio", ".flac"), [], output_node=True),
        "TestExit": NodeClass({}, raising(SystemExit(3)), ["IMAGE"]),
        "TestKeyboardInterrupt": NodeClass({}, raising(KeyboardInterrupt()), ["IMAGE"]),
        "TestCudaMemory": NodeClass({}, raising(RuntimeError("CUDA error: out of memory")), ["IMAGE"]),
        "TestCublasMemory": NodeClass(
            {},
            raising(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")),
            ["IMAGE"],
        ),
        "TestSleep": NodeClass({"seconds": ["FLOAT"]}, sleep, ["IMAGE"]),
        "TestMode": NodeClass({"mode": [["fast", "slow"]]}, nothing, ["IMAGE"]),
        "TestExpand": NodeClass({"images": ["IMAGE"]}, expand, ["IMAGE"], output_node=True),
        "TestText": NodeClass({"text": ["STRING"]}, tell, [], output_node=True),
        "TestKey": NodeClass({}, key_of, [], output_node=True),
        "TestPreview3D": NodeClass({}, preview_3d, [], output_node=True),
        "SaveImageWebsocket": NodeClass({"images": ["IMAGE"]}, to_websocket, [], output_node=True),
        "TestFail": NodeClass({}, fail, ["IMAGE"]),
        "TestOutOfMemory": NodeClass({}, no_memory, ["IMAGE"]),
        "TestCrash": NodeClass({}, crash, ["IMAGE"]),
        "TestWait": NodeClass({"steps": ["INT", {}], "seconds": ["FLOAT"]}, wait, ["IMAGE"]),
        "TestDropSockets": NodeClass({}, drop, ["IMAGE"]),
    }
