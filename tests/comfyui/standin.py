"""A server that speaks ComfyUI's HTTP and websocket API and computes next to nothing.

Written from the published behaviour of ComfyUI. Run as a process of its own: `python -m
tests.comfyui.standin --port N --dir DIR`. Its queue is in standin_queue.py, its nodes are in standin_nodes.py.
"""

# ruff: noqa: T201
from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time
import uuid
from pathlib import Path

from aiohttp import WSMsgType, web

from tests.comfyui.standin_queue import Item, Server

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
        no_prompt = {"type": "no_prompt", "message": "No prompt provided", "details": "", "extra_info": {}}
        return web.json_response({"error": no_prompt, "node_errors": {}}, status=400)
    error, outputs, node_errors = server.validate(body["prompt"])
    if error is not None:
        return web.json_response({"error": error, "node_errors": node_errors}, status=400)
    extra = dict(body.get("extra_data") or {})
    if "client_id" in body:
        extra["client_id"] = body["client_id"]
    server.number += 1
    if targets := body.get("partial_execution_targets"):
        outputs = [output for output in outputs if output in targets]
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


@routes.post("/history")
async def change_history(request: web.Request) -> web.Response:
    for prompt_id in (await request.json()).get("delete", []):
        of(request).history.pop(prompt_id, None)
    return web.Response()


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


@routes.get("/worker/pulse")
async def pulse(request: web.Request) -> web.Response:
    server = of(request)
    if not server.extension:
        return web.Response(status=404)
    return web.json_response({"alive": server.alive})


@routes.get("/worker/device")
async def device(request: web.Request) -> web.Response:
    server = of(request)
    if not server.extension:
        return web.Response(status=404)
    return web.json_response({"device": server.device, "error": server.device_error})


@routes.post("/testing/cut")
async def cut(request: web.Request) -> web.Response:
    """Cuts every connection but the one that asks for it; ComfyUI has no such thing."""
    for protocol in request.app[RUNNER].server.connections:  # type: ignore[union-attr]
        if protocol is not request.protocol and protocol.transport is not None:
            protocol.transport.abort()
    return web.Response()


@routes.post("/worker/forget")
async def forget(request: web.Request) -> web.Response:
    server = of(request)
    if not server.extension:
        return web.Response(status=404)
    for file in (await request.json())["files"]:
        (server.folder / file["type"] / file["subfolder"] / file["filename"]).unlink(missing_ok=True)
    return web.json_response({})


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
            "system": {"os": os.name, "comfyui_version": "0.3.64", "python_version": sys.version, "argv": sys.argv},
            "devices": [{"name": "cpu", "type": "cpu", "index": None, "vram_total": 0, "vram_free": 0}],
            "freed": of(request).freed,
        }
    )


SERVER = web.AppKey("server", Server)
RUNNER = web.AppKey("runner", web.AppRunner)


async def serve(port: int, folder: Path, models: list[str], *, extension: bool, device_error: str | None) -> None:
    app = web.Application(client_max_size=100 * 1024 * 1024)
    server = app[SERVER] = Server(folder, models)
    server.extension, server.device_error = extension, device_error
    app.add_routes(routes)
    runner = app[RUNNER] = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"To see the GUI go to: http://127.0.0.1:{port}", flush=True)
    working = asyncio.create_task(server.work())
    parent = os.getppid()
    while os.getppid() == parent:
        # As with ComfyUI's thread, a run that ends it ends nothing else.
        await asyncio.wait([asyncio.create_task(asyncio.sleep(1))])
        if working.done() and server.alive:
            working.result()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--models", default="flux1-dev-fp8.safetensors")
    parser.add_argument("--without-extension", action="store_true")
    parser.add_argument("--device-error")
    parser.add_argument("--start-seconds", type=float, default=0)
    arguments = parser.parse_args()
    time.sleep(arguments.start_seconds)
    asyncio.run(
        serve(
            arguments.port,
            arguments.dir,
            arguments.models.split(","),
            extension=not arguments.without_extension,
            device_error=arguments.device_error,
        )
    )
