"""The ComfyUI worker: what it adds to a job, what many jobs leave behind, and how long a hang costs.

COMFYUI_URL and COMFYUI_COMMAND name a ComfyUI, with the example's worker_extension.py; COMFYUI_FOLDER its base folder.
`make bench-comfyui` runs it on the stand-in of the tests, where those are not set.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent
JOBS = int(os.environ.get("BENCH_JOBS", "500"))
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"  # one red pixel


def workflow(prefix: str = "bench") -> dict[str, Any]:
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 7}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


async def bare(session: aiohttp.ClientSession, number: int) -> float:
    """Seconds from submit to the event of the end, and nothing more; the file is written anew."""
    prompt = workflow()
    prompt["9"]["inputs"]["worker_run"] = f"bare-{number}"
    async with session.ws_connect("/ws?clientId=bench") as events:
        begin = time.perf_counter()
        async with session.post("/prompt", json={"prompt": prompt, "client_id": "bench"}) as answer:
            run_id = (await answer.json())["prompt_id"]
        while True:
            frame = await events.receive_json()
            data = frame["data"]
            if frame["type"] == "executing" and data["node"] is None and data["prompt_id"] == run_id:
                return time.perf_counter() - begin


def rss_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def files(folder: Path) -> int:
    return sum(1 for kind in ("input", "output", "temp") for path in (folder / kind).rglob("*.png") if path.is_file())


async def main() -> None:
    folder = Path(os.environ.get("COMFYUI_FOLDER") or tempfile.mkdtemp())
    if "COMFYUI_COMMAND" not in os.environ:
        os.environ["COMFYUI_URL"] = "http://127.0.0.1:8197"
        standin = f"{sys.executable} -m tests.comfyui.standin --port 8197 --dir {folder}"
        os.environ["COMFYUI_COMMAND"] = f"env PYTHONPATH={ROOT} {standin}"
    os.environ.setdefault("COMFYUI_CANCEL_SECONDS", "5")
    sys.path.insert(0, str(ROOT / "examples/comfyui-worker"))
    import handler
    from novita_worker import JobContext
    from tests.support.reports import Unsent

    async def job(prompt: dict[str, Any], **more: object) -> float:
        begin = time.perf_counter()
        task = {"id": "bench", "input": {"workflow": prompt, **more}}
        await handler.handler(task, JobContext(task, reports=Unsent()))
        return time.perf_counter() - begin

    begin = time.perf_counter()
    await handler.setup()
    start = time.perf_counter() - begin
    print(f"start of ComfyUI: {start:.1f} s")
    await job(workflow())
    async with aiohttp.ClientSession(handler.SERVER.url) as session:
        alone, ours = [], []
        for number in range(50):
            alone.append(await bare(session, number))
            ours.append(await job(workflow()))
    print(f"a cached workflow: ComfyUI {1e3 * statistics.median(alone):.1f} ms, ", end="")
    print(f"the worker adds {1e3 * (statistics.median(ours) - statistics.median(alone)):.1f} ms (medians of 50)")

    pid, before = handler.SERVER._process.pid, files(folder)
    with_image = {"images": [{"name": "in.png", "image": PNG}]}
    memory: list[tuple[float, float]] = []
    for number in range(JOBS):
        prompt = workflow()
        if number % 2:
            prompt["1"] = {"class_type": "LoadImage", "inputs": {"image": "in.png"}}
        await job(prompt, **(with_image if number % 2 else {}))
        if number in (JOBS // 10, JOBS - 1):
            memory.append((rss_mib(pid), rss_mib(os.getpid())))
    (comfyui, worker), (comfyui_then, worker_then) = memory
    print(f"{JOBS} jobs: {files(folder) - before} more files; from a tenth of them to all, ", end="")
    print(f"ComfyUI's memory {comfyui:.0f} → {comfyui_then:.0f} MiB, the worker's {worker:.0f} → {worker_then:.0f} MiB")

    for name in ("TestSleep", "TestExit"):
        inputs = {"seconds": 900} if name == "TestSleep" else {}
        hanging = asyncio.create_task(job({**workflow(), "1": {"class_type": name, "inputs": inputs}}))
        await asyncio.sleep(2)
        begin = time.perf_counter()
        if name == "TestSleep":
            hanging.cancel()
        await asyncio.gather(hanging, return_exceptions=True)
        await job(workflow())
        print(f"{name}: {time.perf_counter() - begin:.1f} s to the end of the next job")
    handler.SERVER.stop()


if __name__ == "__main__":
    asyncio.run(main())
