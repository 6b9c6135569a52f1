"""What a typed contract costs: to parse, check and write a request, beside plain json, pydantic and json_format.

`make bench-contracts` runs it. Each cell is the best of several rounds, in microseconds, from JSON bytes to JSON bytes.
Below the table is what the contract adds to a whole job, from a client over a gateway to a worker and back.
"""

from __future__ import annotations

import importlib
import json
import os
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pydantic
from google.protobuf import json_format

from novita_codegen import generate
from novita_gateway import Gateway, serve_in_thread
from novita_sdk import Client
from novita_sdk.typed import Adapter, find_adapter
from novita_sdk.wire import payload

PROTO = """\
syntax = "proto3";
package bench.v1;
import "buf/validate/validate.proto";

message Draw {
  string prompt = 1 [(buf.validate.field).string.min_len = 1];
  int32 width = 2 [(buf.validate.field).int32 = {gte: 64, lte: 2048}];
  uint64 seed = 3;
}

message Workflow {
  map<string, Node> nodes = 1;
}

message Node {
  string class_type = 1 [(buf.validate.field).string.min_len = 1];
  map<string, string> texts = 2;
  repeated int32 links = 3;
  double strength = 4 [(buf.validate.field).double.lte = 10];
}
"""


class DrawModel(pydantic.BaseModel):
    prompt: str = pydantic.Field(min_length=1)
    width: int = pydantic.Field(ge=64, le=2048)
    seed: int = 0


class NodeModel(pydantic.BaseModel):
    class_type: str = pydantic.Field(min_length=1)
    texts: dict[str, str]
    links: list[int]
    strength: float = pydantic.Field(le=10)


class WorkflowModel(pydantic.BaseModel):
    nodes: dict[str, NodeModel]


def node(index: int) -> dict[str, Any]:
    texts = {"text": f"a photograph of an apple, number {index}", "sampler_name": "euler", "scheduler": "normal"}
    return {"class_type": "KSampler", "texts": texts, "links": [index, index + 1], "strength": 0.75}


CASES: dict[str, tuple[str, type[pydantic.BaseModel], dict[str, Any]]] = {
    "small": ("Draw", DrawModel, {"prompt": "a red apple", "width": 512, "seed": 1125899906842624123}),
    "3 KB nested": ("Workflow", WorkflowModel, {"nodes": {str(index): node(index) for index in range(16)}}),
    "4 MB string": ("Draw", DrawModel, {"prompt": "x" * 4_000_000, "width": 512, "seed": 1}),
}


ROUNDS = 1000

WORKERS = {
    "untyped": """
import novita_gpus

async def handler(job):
    return job["input"]

novita_gpus.start({"handler": handler})
""",
    "typed": """
import novita_gpus
from bench.v1.bench_pb2 import Draw

async def handler(request: Draw) -> Draw:
    return request

novita_gpus.start({"handler": handler})
""",
}


def best(work: Callable[[], object]) -> float:
    """Microseconds of one call."""
    timer = timeit.Timer(work)
    number, _ = timer.autorange()
    return min(timer.repeat(repeat=5, number=max(1, number // 4))) / max(1, number // 4) * 1e6


def main() -> None:
    with TemporaryDirectory() as folder:
        source = Path(folder, "proto", "bench", "v1", "bench.proto")
        source.parent.mkdir(parents=True)
        source.write_text(PROTO, encoding="utf-8")
        generate(Path(folder, "proto"), Path(folder, "out"))
        sys.path.insert(0, str(Path(folder, "out")))
        messages = importlib.import_module("bench.v1.bench_pb2")
        print("| request | bytes | parse, check | check, write | both, from bytes | json | pydantic | json_format |")
        print("|---|---|---|---|---|---|---|---|")
        for label, (name, model, value) in CASES.items():
            kind = getattr(messages, name)
            adapter: Adapter[Any] | None = find_adapter(kind)
            assert adapter is not None
            print(
                f"| {label} | " + " | ".join(f"{cell:,.1f}" for cell in row(adapter, kind, model, value)) + " |",
                flush=True,
            )
        times = through_a_worker(Path(folder))
        added = times["typed"] / times["untyped"] - 1
        print(f"\na job: {times['untyped']:.3f} ms untyped, {times['typed']:.3f} ms typed ({added:+.1%})")


def through_a_worker(folder: Path) -> dict[str, float]:
    """Milliseconds of one job with the small request, median, taking turns."""
    request = CASES["small"][2]
    times: dict[str, list[float]] = {name: [] for name in WORKERS}
    with (
        serve_in_thread() as gateway,
        workers(gateway, folder),
        Client(api_key=gateway.api_key, base_url=gateway.url) as client,
    ):
        endpoints = {name: client.endpoint(name) for name in WORKERS}
        for number in range(ROUNDS + 50):
            for name, endpoint in endpoints.items():
                begin = time.perf_counter()
                endpoint.run_sync(request, timeout=60)
                if number >= 50:
                    times[name].append(time.perf_counter() - begin)
    return {name: statistics.median(taken) * 1000 for name, taken in times.items()}


@contextmanager
def workers(gateway: Gateway, folder: Path) -> Iterator[None]:
    """A worker process of each kind, each on an endpoint of its name."""
    processes = []
    for name, source in WORKERS.items():
        script = folder / f"{name}.py"
        script.write_text(source, encoding="utf-8")
        environment = {**os.environ, **gateway.worker_env(name), "PYTHONPATH": str(folder / "out")}
        environment["NOVITA_LOG_LEVEL"] = "ERROR"
        processes.append(subprocess.Popen([sys.executable, str(script)], env=environment))
    try:
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(20)


def row(adapter: Adapter[Any], kind: Any, model: type[pydantic.BaseModel], value: dict[str, Any]) -> list[float]:
    data = json.dumps(value, ensure_ascii=False).encode()
    message = adapter.parse(value)
    return [
        len(data),
        best(lambda: adapter.parse(value)),
        best(lambda: adapter.dump(message)),
        best(lambda: adapter.dump(adapter.parse(payload.load(data)))),
        best(lambda: payload.dump(payload.load(data))),
        best(lambda: model.model_validate_json(data).model_dump_json()),
        best(lambda: json_format.MessageToJson(json_format.Parse(data, kind()), indent=None)),
    ]


if __name__ == "__main__":
    main()
