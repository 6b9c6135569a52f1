"""A server that speaks ComfyUI's HTTP and websocket API and computes next to nothing.

Written from the published behaviour of ComfyUI. Run as a process of its own: `python standin.py --port N --dir DIR`.
Core classes do roughly what their names say; those whose names begin with `Test` are those of testing_nodes.py.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import asyncio
import contextlib
import hashlib
import json
import os
import struct
import sys
import time
import traceback
import uuid
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web


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


class InterruptedRunError(Exception):
    pass


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


@dataclass(order=True)
class Item:
    number: float
    prompt_id: str = field(compare=False)
    prompt: dict[str, Any] = field(compare=False)
    extra_data: dict[str, Any] = field(compare=False)
    outputs: list[str] = field(compare=False)

    def row(self) -> list[Any]:
        return [self.number, self.prompt_id, self.prompt, self.extra_data, self.outputs]


class Server:
    def __init__(self, folder: Path, models: list[str]) -> None:
        self.folder = folder
        self.sockets: dict[str, web.WebSocketResponse] = {}
        self.pending: list[Item] = []
        self.running: Item | None = None
        self.history: dict[str, dict[str, Any]] = {}
        self.cache: dict[str, tuple[Any, dict[str, Any] | None]] = {}
        self.wake = asyncio.Event()
        self.interrupt = False
        self.number = 0
        self.counters: dict[str, int] = {}
        self.freed = 0
        self.last_node: str | None = None
        self.classes = node_classes(models)
        for kind in ("input", "output", "temp"):
            (folder / kind).mkdir(parents=True, exist_ok=True)

    async def send(self, event: str, data: dict[str, Any], sid: str | None) -> None:
        sockets = list(self.sockets.values()) if sid is None else [self.sockets[sid]] if sid in self.sockets else []
        for socket in sockets:
            with contextlib.suppress(ConnectionError):
                await socket.send_json({"type": event, "data": data})

    def queue_info(self) -> dict[str, Any]:
        return {"exec_info": {"queue_remaining": len(self.pending) + (self.running is not None)}}

    async def queue_changed(self) -> None:
        await self.send("status", {"status": self.queue_info()}, None)

    async def checkpoint(self) -> None:
        await asyncio.sleep(0)
        if self.interrupt:
            self.interrupt = False
            raise InterruptedRunError

    async def steps(self, node_id: str, count: int, seconds: float) -> None:
        assert self.running is not None
        sid = self.running.extra_data.get("client_id")
        for step in range(1, count + 1):
            await asyncio.sleep(seconds)
            await self.checkpoint()
            data = {"value": step, "max": count, "prompt_id": self.running.prompt_id, "node": node_id}
            await self.send("progress", data, sid)
            if sid in self.sockets:
                await self.sockets[sid].send_bytes(struct.pack(">II", 1, 2) + png(1, 1, 0))

    def save(self, prefix: str, kind: str, data: bytes, suffix: str) -> dict[str, str]:
        subfolder, _, name = prefix.rpartition("/")
        target = self.folder / kind / subfolder
        target.mkdir(parents=True, exist_ok=True)
        number = self.counters[prefix] = self.counters.get(prefix, 0) + 1
        filename = f"{name}_{number:05}_{suffix}"
        (target / filename).write_bytes(data)
        return {"filename": filename, "subfolder": subfolder, "type": kind}

    async def work(self) -> None:
        while True:
            while not self.pending:
                self.wake.clear()
                await self.wake.wait()
            self.pending.sort()
            item = self.running = self.pending.pop(0)
            await self.queue_changed()
            self.interrupt = False
            outputs, messages, success = await self.execute(item)
            self.history[item.prompt_id] = {
                "prompt": item.row(),
                "outputs": outputs,
                "status": {
                    "status_str": "success" if success else "error",
                    "completed": success,
                    "messages": messages,
                },
                "meta": {},
            }
            self.running = None
            self.last_node = None
            await self.queue_changed()
            data = {"node": None, "prompt_id": item.prompt_id}
            await self.send("executing", data, item.extra_data.get("client_id"))

    async def execute(self, item: Item) -> tuple[dict[str, Any], list[Any], bool]:
        sid = item.extra_data.get("client_id")
        messages: list[Any] = []

        async def note(event: str, data: dict[str, Any]) -> None:
            data = data | {"prompt_id": item.prompt_id, "timestamp": int(time.time() * 1000)}
            messages.append([event, data])
            await self.send(event, data, sid)

        order: list[str] = []

        def visit(node_id: str) -> None:
            for value in item.prompt[node_id]["inputs"].values():
                if isinstance(value, list):
                    visit(value[0])
            if node_id not in order:
                order.append(node_id)

        for output in item.outputs:
            visit(output)
        keys = {node_id: self.cache_key(item.prompt, node_id) for node_id in order}
        cached = [node_id for node_id in order if keys[node_id] in self.cache]
        results = {node_id: self.cache[keys[node_id]] for node_id in cached}
        await note("execution_start", {})
        await note("execution_cached", {"nodes": cached})
        executed: list[str] = []
        for node_id in order:
            if node_id in results:
                continue
            self.last_node = node_id
            node = item.prompt[node_id]
            where = {"node": node_id, "display_node": node_id, "prompt_id": item.prompt_id}
            await self.send("executing", where, sid)
            inputs = {
                name: results[value[0]][0] if isinstance(value, list) else value
                for name, value in node["inputs"].items()
            }
            failed = {"node_id": node_id, "node_type": node["class_type"], "executed": executed}
            try:
                await self.checkpoint()
                results[node_id] = await self.classes[node["class_type"]].run(self, node_id, inputs)
            except InterruptedRunError:
                await note("execution_interrupted", failed)
                return {}, messages, False
            except Exception as error:  # noqa: BLE001  a node may raise anything
                kind = type(error)
                name = kind.__name__ if kind.__module__ == "builtins" else f"torch.{kind.__name__}"
                failed |= {
                    "exception_message": str(error),
                    "exception_type": name,
                    "traceback": traceback.format_tb(error.__traceback__),
                    "current_inputs": {},
                    "current_outputs": executed,
                }
                await note("execution_error", failed)
                return {}, messages, False
            self.cache[keys[node_id]] = results[node_id]
            executed.append(node_id)
            if shown := results[node_id][1]:
                await self.send("executed", where | {"output": shown}, sid)
        await note("execution_success", {})
        return {node_id: shown for node_id, (_, shown) in results.items() if shown}, messages, True

    def cache_key(self, prompt: dict[str, Any], node_id: str) -> str:
        node = prompt[node_id]
        inputs = {
            name: self.cache_key(prompt, value[0]) if isinstance(value, list) else value
            for name, value in node["inputs"].items()
        }
        if node["class_type"] == "LoadImage":
            inputs["content"] = hashlib.sha256((self.folder / "input" / inputs["image"]).read_bytes()).hexdigest()
        return json.dumps([node["class_type"], inputs], sort_keys=True)

    def validate(self, prompt: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str], dict[str, Any]]:
        for node_id, node in prompt.items():
            if "class_type" not in node or node["class_type"] not in self.classes:
                name = node.get("class_type")
                problem = {
                    "type": "missing_node_type",
                    "message": f"Node '{name}' not found. The custom node may not be installed.",
                    "details": f"Node ID '#{node_id}'",
                    "extra_info": {"node_id": node_id, "class_type": name},
                }
                return problem, [], {}
        outputs = [node_id for node_id, node in prompt.items() if self.classes[node["class_type"]].output_node]
        if not outputs:
            return (
                {"type": "prompt_no_outputs", "message": "Prompt has no outputs", "details": "", "extra_info": {}},
                [],
                {},
            )
        errors: dict[str, Any] = {}
        good = [output for output in outputs if self.validate_node(prompt, output, output, errors)]
        if good:
            return None, good, errors
        problem = {
            "type": "prompt_outputs_failed_validation",
            "message": "Prompt outputs failed validation",
            "details": "",
            "extra_info": {},
        }
        return problem, [], errors

    def validate_node(self, prompt: dict[str, Any], node_id: str, output: str, errors: dict[str, Any]) -> bool:
        node = prompt[node_id]
        found: list[dict[str, Any]] = []
        valid = True

        def add(kind: str, message: str, details: str, name: str) -> None:
            found.append({"type": kind, "message": message, "details": details, "extra_info": {"input_name": name}})

        for name, spec in self.classes[node["class_type"]].required.items():
            if name not in node["inputs"]:
                add("required_input_missing", "Required input is missing", name, name)
                continue
            value = node["inputs"][name]
            if isinstance(value, list):
                valid = self.validate_node(prompt, value[0], output, errors) and valid
            elif node["class_type"] == "LoadImage":
                if not (self.folder / "input" / str(value)).is_file():
                    problem = f"{name} - Invalid image file: {value}"
                    add("custom_validation_failed", "Custom validation failed for node", problem, name)
            elif isinstance(spec[0], list) and value not in spec[0]:
                add("value_not_in_list", "Value not in list", f"{name}: '{value}' not in {spec[0]}", name)
            elif spec[0] == "INT" and value < spec[1].get("min", value):
                minimum = spec[1]["min"]
                add("value_smaller_than_min", f"Value {value} smaller than min of {minimum}", name, name)
        if found:
            entry = errors.setdefault(
                node_id, {"errors": found, "dependent_outputs": [], "class_type": node["class_type"]}
            )
            entry["dependent_outputs"].append(output)
        return valid and not found


def node_classes(models: list[str]) -> dict[str, NodeClass]:
    async def nothing(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        return dict(inputs), None

    async def empty_image(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        return [(inputs["width"], inputs["height"], inputs["color"])] * inputs["batch_size"], None

    async def invert(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        return [(width, height, 0xFFFFFF - color) for width, height, color in inputs["image"]], None

    async def load_image(server: Server, node_id: str, inputs: dict[str, Any]) -> tuple[Any, None]:
        data = (server.folder / "input" / inputs["image"]).read_bytes()
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

    size = ["INT", {"default": 512, "min": 1, "max": 16384}]
    file = {"filename_prefix": ["STRING", {}], "size": ["INT", {}]}
    image = {"images": ["IMAGE"], "filename_prefix": ["STRING", {"default": "ComfyUI"}]}
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
        "TestFail": NodeClass({}, fail, ["IMAGE"]),
        "TestOutOfMemory": NodeClass({}, no_memory, ["IMAGE"]),
        "TestCrash": NodeClass({}, crash, ["IMAGE"]),
        "TestWait": NodeClass({"steps": ["INT", {}], "seconds": ["FLOAT"]}, wait, ["IMAGE"]),
        "TestDropSockets": NodeClass({}, drop, ["IMAGE"]),
    }


routes = web.RouteTableDef()


def of(request: web.Request) -> Server:
    return request.app[SERVER]


@routes.get("/ws")
async def websocket(request: web.Request) -> web.WebSocketResponse:
    server = of(request)
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    sid = request.query.get("clientId") or uuid.uuid4().hex
    server.sockets[sid] = socket
    try:
        await server.send("status", {"status": server.queue_info(), "sid": sid}, sid)
        if server.running and server.running.extra_data.get("client_id") == sid and server.last_node:
            await server.send("executing", {"node": server.last_node}, sid)
        async for message in socket:
            if message.type == WSMsgType.ERROR:
                break
    finally:
        if server.sockets.get(sid) is socket:
            del server.sockets[sid]
    return socket


@routes.post("/prompt")
async def prompt(request: web.Request) -> web.Response:
    server = of(request)
    body = await request.json()
    if "prompt" not in body:
        error = {"type": "no_prompt", "message": "No prompt provided", "details": "", "extra_info": {}}
        return web.json_response({"error": error, "node_errors": {}}, status=400)
    error, outputs, node_errors = server.validate(body["prompt"])
    if error is not None:
        return web.json_response({"error": error, "node_errors": node_errors}, status=400)
    extra = dict(body.get("extra_data") or {})
    if "client_id" in body:
        extra["client_id"] = body["client_id"]
    server.number += 1
    item = Item(server.number, body.get("prompt_id") or str(uuid.uuid4()), body["prompt"], extra, outputs)
    server.pending.append(item)
    server.wake.set()
    await server.queue_changed()
    return web.json_response({"prompt_id": item.prompt_id, "number": item.number, "node_errors": node_errors})


@routes.get("/prompt")
async def prompt_info(request: web.Request) -> web.Response:
    return web.json_response(of(request).queue_info())


@routes.get("/queue")
async def queue(request: web.Request) -> web.Response:
    server = of(request)
    running = [server.running.row()] if server.running else []
    return web.json_response({"queue_running": running, "queue_pending": [item.row() for item in server.pending]})


@routes.post("/queue")
async def change_queue(request: web.Request) -> web.Response:
    server = of(request)
    body = await request.json()
    if body.get("clear"):
        server.pending.clear()
    gone = body.get("delete", [])
    server.pending = [item for item in server.pending if item.prompt_id not in gone]
    return web.Response()


@routes.post("/interrupt")
async def interrupt(request: web.Request) -> web.Response:
    server = of(request)
    body = await request.json() if request.can_read_body else {}
    wanted = body.get("prompt_id")
    if wanted is None or (server.running and server.running.prompt_id == wanted):
        server.interrupt = True
    return web.Response()


@routes.post("/free")
async def free(request: web.Request) -> web.Response:
    server = of(request)
    body = await request.json()
    if body.get("unload_models"):
        server.freed += 1
    if body.get("free_memory"):
        server.cache.clear()
    return web.Response()


@routes.get("/history/{prompt_id}")
async def history(request: web.Request) -> web.Response:
    wanted = request.match_info["prompt_id"]
    found = of(request).history.get(wanted)
    return web.json_response({wanted: found} if found else {})


@routes.get("/view")
async def view(request: web.Request) -> web.StreamResponse:
    query = request.query
    base = of(request).folder / query.get("type", "output")
    if "filename" not in query:
        return web.Response(status=404)
    if ".." in query["filename"] or query["filename"].startswith("/"):
        return web.Response(status=400)
    file = (base / query.get("subfolder", "") / Path(query["filename"]).name).resolve()
    if not file.is_relative_to(base.resolve()):
        return web.Response(status=403)
    if not file.is_file():
        return web.Response(status=404)
    return web.FileResponse(file, headers={"Content-Disposition": f'filename="{file.name}"'})


@routes.post("/upload/image")
async def upload(request: web.Request) -> web.Response:
    post = await request.post()
    image = post.get("image")
    if not isinstance(image, web.FileField) or not image.filename:
        return web.Response(status=400)
    kind = str(post.get("type", "input"))
    subfolder = str(post.get("subfolder", ""))
    base = (of(request).folder / kind).resolve()
    target = (base / subfolder / image.filename).resolve()
    if not target.is_relative_to(base):
        return web.Response(status=400)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(image.file.read())
    return web.json_response({"name": target.name, "subfolder": subfolder, "type": kind})


@routes.get("/object_info")
async def object_info(request: web.Request) -> web.Response:
    classes = of(request).classes
    return web.json_response({name: one.info(name) for name, one in classes.items()})


@routes.get("/object_info/{name}")
async def object_info_of(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    one = of(request).classes.get(name)
    return web.json_response({name: one.info(name)} if one else {})


@routes.get("/system_stats")
async def system_stats(request: web.Request) -> web.Response:
    return web.json_response(
        {
            "system": {"os": os.name, "comfyui_version": "0.3.75", "python_version": sys.version, "argv": sys.argv},
            "devices": [{"name": "cpu", "type": "cpu", "index": None, "vram_total": 0, "vram_free": 0}],
            "freed": of(request).freed,
        }
    )


SERVER = web.AppKey("server", Server)


async def serve(port: int, folder: Path, models: list[str]) -> None:
    app = web.Application(client_max_size=100 * 1024 * 1024)
    app[SERVER] = Server(folder, models)
    app.add_routes(routes)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"To see the GUI go to: http://127.0.0.1:{port}", flush=True)
    working = asyncio.create_task(app[SERVER].work())
    parent = os.getppid()
    while os.getppid() == parent and not working.done():
        await asyncio.wait([working], timeout=1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--models", default="flux1-dev-fp8.safetensors")
    parser.add_argument("--start-seconds", type=float, default=0)
    arguments = parser.parse_args()
    time.sleep(arguments.start_seconds)
    asyncio.run(serve(arguments.port, arguments.dir, arguments.models.split(",")))
