"""The stand-in's queue: checks workflows, runs them one after the other, and keeps what came out."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import struct
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.comfyui.standin_nodes import node_classes, png


class InterruptedRunError(Exception):
    pass


class EndOfThreadError(Exception):
    """A node raised SystemExit or KeyboardInterrupt, which ends the thread that runs workflows."""


def meta_of(node_id: str) -> dict[str, str | None]:
    """Of a node that another one expanded to, as 5.0.0.2, that other one is told too."""
    origin, _, rest = node_id.partition(".")
    return {
        "node_id": node_id,
        "display_node": origin,
        "parent_node": origin if rest else None,
        "real_node_id": origin,
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
        self.alive = True
        self.extension = True
        self.device = "cpu"
        self.device_error: str | None = None
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
            try:
                outputs, messages, success = await self.execute(item)
            except EndOfThreadError:
                # The run stays the running one, and nothing executes any more.
                self.alive = False
                return
            self.history[item.prompt_id] = {
                "prompt": item.row(),
                "outputs": outputs,
                "status": {
                    "status_str": "success" if success else "error",
                    "completed": success,
                    "messages": messages,
                },
                "meta": {node_id: meta_of(node_id) for node_id in outputs},
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
                if shown := results[node_id][1]:
                    where = {"node": node_id, "display_node": node_id, "prompt_id": item.prompt_id}
                    await self.send("executed", where | {"output": shown}, sid)
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
            except (SystemExit, KeyboardInterrupt) as error:
                raise EndOfThreadError from error
            except Exception as error:  # noqa: BLE001  a node may raise anything
                kind = type(error)
                name = kind.__name__ if kind.__module__ == "builtins" else f"torch.{kind.__name__}"
                failed |= {
                    "exception_message": f"{error}\n",
                    "exception_type": name,
                    "traceback": traceback.format_tb(error.__traceback__),
                    "current_inputs": {},
                    "current_outputs": executed,
                }
                await note("execution_error", failed)
                return {}, messages, False
            self.cache[keys[node_id]] = results[node_id]
            executed.append(node_id)
            shown = results[node_id][1] or {}
            if inner := shown.pop("expanded", None):
                inner_id = f"{node_id}.0.0.2"
                where = {"node": inner_id, "display_node": node_id, "prompt_id": item.prompt_id}
                await self.send("executing", where, sid)
                await self.send("executed", where | {"output": inner}, sid)
                results[inner_id] = None, inner
            elif shown:
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
            inputs["content"] = hashlib.sha256(self.input_file(inputs["image"]).read_bytes()).hexdigest()
        return json.dumps([node["class_type"], inputs], sort_keys=True)

    def input_file(self, name: str) -> Path:
        """A file by the name that a workflow has for it, with the folder that the mask editor writes after it."""
        for kind in ("input", "output", "temp"):
            if name.endswith(f" [{kind}]"):
                return self.folder / kind / name.removesuffix(f" [{kind}]")
        return self.folder / "input" / name

    def validate(self, prompt: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str], dict[str, Any]]:
        for node_id, node in prompt.items():
            if "class_type" not in node or node["class_type"] not in self.classes:
                name = node.get("class_type")
                problem = {
                    "type": "invalid_prompt",
                    "message": f"Cannot execute because node {name} does not exist.",
                    "details": f"Node ID '#{node_id}'",
                    "extra_info": {},
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
        good = []
        for output in outputs:
            # A circle is told by an output that fails without a word.
            with contextlib.suppress(RecursionError):
                if self.validate_node(prompt, output, output, errors):
                    good.append(output)
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
            extra = {"input_name": name, "received_value": node["inputs"].get(name)}
            found.append({"type": kind, "message": message, "details": details, "extra_info": extra})

        for name, spec in self.classes[node["class_type"]].required.items():
            if name not in node["inputs"]:
                add("required_input_missing", "Required input is missing", name, name)
                continue
            value = node["inputs"][name]
            if isinstance(value, list):
                valid = self.validate_node(prompt, value[0], output, errors) and valid
            elif node["class_type"] == "LoadImage":
                if not self.input_file(str(value)).is_file():
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
