"""A worker made with whichever SDK this interpreter has: worker.py SDK MODE.

It uses the names that the published packages have, and nothing else.
"""

# ruff: noqa: ASYNC110, ASYNC240 - what it waits for are files of another process
from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sdk = importlib.import_module(sys.argv[1])
mode = sys.argv[2]
sys.argv[1:] = []
serverless = sdk.serverless if sdk.__name__ == "runpod" else sdk


async def there(*files: str) -> None:
    """Waits until another process has made the files."""
    while not all(Path(file).exists() for file in files):
        await asyncio.sleep(0.02)


async def handler(job: dict[str, Any]) -> Any:
    asked = job["input"]
    what = asked["what"]
    if what == "echo":
        return {"echo": asked["value"]}
    if what == "error":
        return {"error": "as asked: é", "kept": [1, 2.0, None]}
    if what == "raise":
        raise ValueError("as asked: ☃")
    if what == "progress":
        serverless.progress_update(job, {"half": "é", "seed": 1125899906842624123})
        await there(asked["release"])
        return "done"
    if what == "hang":
        Path(asked["started"]).touch()
        try:
            await there(asked["release"])
        except asyncio.CancelledError:
            Path(asked["stopped"]).touch()
            raise
        return "too late"
    if what == "meet":
        Path(asked["mine"]).touch()
        await there(*asked["all"])
        return "met"
    raise AssertionError(what)


async def generator(job: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    for index in range(job["input"]["count"]):
        yield {"i": index, "u": "é"}


configs = {
    "plain": {"handler": handler, "concurrency_modifier": lambda _: 4},
    "generator": {"handler": generator},
    "aggregate": {"handler": generator, "return_aggregate_stream": True},
}
serverless.start(configs[mode])
