"""Measures the worker runtime beside both published packages and a bare HTTP loop, on one gateway in one run.

    make bench-worker
    .venv/bin/python bench/worker.py --only ours,bare --jobs 5000

Prints a Markdown table. Every number is the median of the runs; contenders take turns, so that a change of the machine
meets them all.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from peers import NOVITA, RUNPOD, python_with

GATEWAY = Path(__file__).with_name("worker_gateway.py")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20

HANDLER = """
import os, time
stamps = open(os.environ["STAMPS"], "a", buffering=1)
def handler(job):
    seconds = job["input"]["seconds"]
    if seconds:
        stamps.write("%r " % time.monotonic())
        time.sleep(seconds)
        stamps.write("%r\\n" % time.monotonic())
    return {}
"""
OURS = HANDLER + "import novita_gpus\nnovita_gpus.start({'handler': handler, 'concurrency': N, 'prefetch': PREFETCH})\n"
PUBLISHED = HANDLER + "import PACKAGE\nSTART({'handler': handler, 'concurrency_modifier': lambda n: N})\n"
BARE = """
import asyncio, json, os, time, aiohttp
stamps = open(os.environ["STAMPS"], "a", buffering=1)
take = os.environ["NOVITA_WEBHOOK_GET_JOB"].replace("$ID", "pod1") + "&job_in_progress=0"
done = os.environ["NOVITA_WEBHOOK_POST_OUTPUT"].replace("$NOVITA_POD_ID", "pod1") + "&isStream=false"
form = {"Content-Type": "application/x-www-form-urlencoded", "charset": "utf-8"}
async def loop(session):
    while True:
        async with session.get(take) as reply:
            job = await reply.json()
        if seconds := job["input"]["seconds"]:
            stamps.write("%r " % time.monotonic())
            await asyncio.sleep(seconds)
            stamps.write("%r\\n" % time.monotonic())
        async with session.post(done.replace("$ID", job["id"]), data=json.dumps({"output": {}}), headers=form) as reply:
            await reply.read()
async def main():
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": "K"}) as session:
        await asyncio.gather(*(loop(session) for _ in range(N)))
asyncio.run(main())
"""


@dataclass(frozen=True)
class Contender:
    name: str
    python: Callable[[], Path]
    script: str
    is_slow: bool = False
    """Does about one job a second and slot, so it is given fewer."""


CONTENDERS = {
    "ours": Contender("this project", lambda: Path(sys.executable), OURS.replace("PREFETCH", "0")),
    "prefetch": Contender("this project, prefetch=1", lambda: Path(sys.executable), OURS.replace("PREFETCH", "1")),
    "asyncio": Contender(
        "this project, without uvloop",
        lambda: Path(sys.executable),
        "import sys\nsys.modules['uvloop'] = None\n" + OURS.replace("PREFETCH", "0"),
    ),
    "bare": Contender("bare aiohttp loop", lambda: Path(sys.executable), BARE),
    "novita": Contender(
        "novita-gpus 0.0.1",
        lambda: python_with(NOVITA),
        PUBLISHED.replace("PACKAGE", "novita_gpus").replace("START", "novita_gpus.start"),
        is_slow=True,
    ),
    "runpod": Contender(
        "runpod 1.12.0",
        lambda: python_with(RUNPOD),
        PUBLISHED.replace("PACKAGE", "runpod").replace("START", "runpod.serverless.start"),
        is_slow=True,
    ),
}


class Gateway:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(GATEWAY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = self._read()["port"]

    def tell(self, command: str = "state") -> dict[str, float]:
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self._read()

    def wait(self, done: int, timeout: float) -> dict[str, float]:
        deadline = time.monotonic() + timeout
        while (state := self.tell())["done"] < done:
            if time.monotonic() > deadline:
                raise SystemExit(f"only {state['done']} of {done} jobs were done in {timeout} s")
            time.sleep(0.01)
        return state

    def _read(self) -> dict[str, float]:
        assert self.process.stdout is not None
        state: dict[str, float] = json.loads(self.process.stdout.readline())
        return state

    def environ(self, stamps: Path) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("NOVITA_", "RUNPOD_"))}
        base = f"http://127.0.0.1:{self.port}/v2/ep1"
        for prefix in ("NOVITA", "RUNPOD"):
            clean |= {
                f"{prefix}_POD_ID": "pod1",
                f"{prefix}_AI_API_KEY": "K",
                f"{prefix}_WEBHOOK_GET_JOB": f"{base}/job-take/$ID?gpu=A",
                f"{prefix}_WEBHOOK_POST_OUTPUT": f"{base}/job-done/${prefix}_POD_ID/$ID?gpu=A",
                f"{prefix}_WEBHOOK_POST_STREAM": f"{base}/job-stream/${prefix}_POD_ID/$ID?gpu=A",
                f"{prefix}_WEBHOOK_PING": f"{base}/ping/${prefix}_POD_ID?gpu=A",
            }
        return {
            **clean,
            "STAMPS": str(stamps),
            "RUNPOD_SKIP_AUTO_SYSTEM_CHECKS": "true",
            "RUNPOD_SKIP_GPU_CHECK": "true",
        }


class Worker:
    def __init__(self, gateway: Gateway, contender: Contender, concurrency: int, folder: Path) -> None:
        self.stamps = folder / "stamps"
        self.stamps.write_text("")
        gateway.tell("reset")
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [str(contender.python()), "-c", f"N = {concurrency}\n" + contender.script],
            env=gateway.environ(self.stamps),
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not gateway.tell()["takes"]:
            time.sleep(0.01)
        self.first_take = gateway.tell()["first_take"] - self.started

    def tree(self) -> list[int]:
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").iterdir():
                todo += map(int, (task / "children").read_text().split())
        return found

    def cpu(self) -> float:
        fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in self.tree())
        return sum(int(f[11]) + int(f[12]) for f in fields) / TICKS

    def rss(self) -> float:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_MB for pid in self.tree())

    def kill(self) -> None:
        for pid in self.tree():
            os.kill(pid, 9)
        self.process.wait()


@contextmanager
def running(gateway: Gateway, contender: Contender, concurrency: int) -> Iterator[Worker]:
    with tempfile.TemporaryDirectory(prefix="bench-worker-") as folder:
        worker = Worker(gateway, contender, concurrency, Path(folder))
        try:
            yield worker
        finally:
            worker.kill()


def throughput(gateway: Gateway, contender: Contender, concurrency: int, jobs: int) -> tuple[float, float]:
    """No-op jobs a second, and CPU microseconds a job."""
    if contender.is_slow:
        jobs = 6 if concurrency == 1 else 4 * concurrency
    warm = 2 if contender.is_slow else 300
    with running(gateway, contender, concurrency) as worker:
        gateway.tell(f"load {warm} 0")
        gateway.wait(warm, 60)
        cpu, began = worker.cpu(), time.monotonic()
        gateway.tell(f"load {jobs} 0")
        state = gateway.wait(warm + jobs, 120)
        return jobs / (state["last_done"] - began), (worker.cpu() - cpu) / jobs * 1e6


def gap(gateway: Gateway, contender: Contender, jobs: int = 12) -> float:
    """Median milliseconds between the end of one handler call and the start of the next, with a full queue."""
    with running(gateway, contender, 1) as worker:
        gateway.tell(f"load {jobs} 0.2")
        gateway.wait(jobs, 60)
        spans = [tuple(map(float, line.split())) for line in worker.stamps.read_text().splitlines()]
    return statistics.median(after[0] - before[1] for before, after in pairwise(spans)) * 1e3


def idle(gateway: Gateway, contender: Contender, seconds: float = 5.0) -> tuple[float, float, float]:
    """Percent of a core while idle, MiB of the process tree, and seconds from start to first take."""
    with running(gateway, contender, 1) as worker:
        time.sleep(2)
        cpu = worker.cpu()
        time.sleep(seconds)
        return (worker.cpu() - cpu) / seconds * 100, worker.rss(), worker.first_take


def growth(gateway: Gateway, contender: Contender, jobs: int) -> float:
    """MiB that the process tree has gained after so many no-op jobs."""
    with running(gateway, contender, 32) as worker:
        gateway.tell("load 2000 0")
        gateway.wait(2000, 60)
        before = worker.rss()
        gateway.tell(f"load {jobs} 0")
        gateway.wait(2000 + jobs, 300)
        return worker.rss() - before


def measure(gateway: Gateway, names: list[str], runs: int, jobs: int, long: int) -> list[tuple[str, dict[str, float]]]:
    rows: dict[str, dict[str, list[float]]] = {name: {} for name in names}

    def note(name: str, **values: float) -> None:
        for key, value in values.items():
            rows[name].setdefault(key, []).append(value)

    for _ in range(runs):
        for name in names:
            rate, cpu = throughput(gateway, CONTENDERS[name], 1, jobs)
            note(name, rate1=rate, cpu1=cpu)
        for name in names:
            rate, cpu = throughput(gateway, CONTENDERS[name], 32, jobs)
            note(name, rate32=rate, cpu32=cpu)
        for name in names:
            note(name, gap=gap(gateway, CONTENDERS[name]))
    for name in names:
        cpu, rss, first = idle(gateway, CONTENDERS[name])
        note(name, idle=cpu, rss=rss, first=first)
    if long and "ours" in names:
        note("ours", growth=growth(gateway, CONTENDERS["ours"], long))
    medians = [(name, {key: statistics.median(values) for key, values in rows[name].items()}) for name in names]
    return [(CONTENDERS[name].name, values) for name, values in medians]


COLUMNS = {
    "rate1": ("jobs/s, concurrency 1", "{:,.0f}"),
    "rate32": ("jobs/s, concurrency 32", "{:,.0f}"),
    "cpu1": ("CPU µs/job, 1", "{:,.0f}"),
    "cpu32": ("CPU µs/job, 32", "{:,.0f}"),
    "gap": ("gap ms", "{:.2f}"),
    "idle": ("idle CPU %", "{:.1f}"),
    "first": ("first take s", "{:.2f}"),
    "rss": ("RSS MiB", "{:.0f}"),
    "growth": ("growth MiB", "{:+.1f}"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(CONTENDERS), help="contenders, separated by commas")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=3000, help="no-op jobs of a throughput run")
    parser.add_argument("--long", type=int, default=50_000, help="jobs of the memory run; 0 leaves it out")
    arguments = parser.parse_args()
    gateway = Gateway()
    try:
        rows = measure(gateway, arguments.only.split(","), arguments.runs, arguments.jobs, arguments.long)
    finally:
        gateway.process.kill()
        gateway.process.wait()
    print("| worker | " + " | ".join(title for title, _ in COLUMNS.values()) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for name, values in rows:
        cells = (form.format(values[key]) if key in values else "" for key, (_, form) in COLUMNS.items())
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
