"""How long commands over very many jobs hold the gateway's event loop up, and what they log.

`make bench-stalls` runs it, with a million jobs unless `--jobs` says otherwise. Every scenario has a process and a file
of its own. A watchdog on the loop measures the longest time between two of its turns: in wall time, less the time in
which the process' threads wanted a processor and had none (on Linux), and in CPU time of the loop's thread. Other work
on the machine lengthens the first, and hardly the others.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

from novita_gateway import Limits, SQLiteStore, SystemClock, log_to
from novita_gateway._garbage import collecting_in_short
from novita_gateway.board.rows import Row
from novita_gateway.http.metrics import Metrics
from novita_gateway.store.sqlite_file import SqliteFile, body_key
from novita_gateway.store.sqlite_migrations import COLUMNS
from novita_sdk.models import JobRequest, ListJobsRequest
from novita_sdk.wire import states

SCENARIOS = ("queued", "expiring", "retained", "running")
HOUR = 3_600_000
SOON = 20_000
"""Milliseconds after the start in which it all happens at once."""
LIMITS = Limits(retention=HOUR, lease=SOON)


def rows(scenario: str, jobs: int, now: int) -> Iterator[Row]:
    for seq in range(1, jobs + 1):
        row = Row(
            seq=seq, id=f"{seq:024x}", endpoint="ep", created=now, expires=now + 24 * HOUR, ttl=24 * HOUR, rank=seq
        )
        match scenario:
            case "expiring":
                row.expires = now + SOON
            case "retained":
                row.status, row.worker_id, row.taken, row.revision = states.COMPLETED, "w1", now - HOUR, 3
                row.finished = now - HOUR + SOON
            case "running":
                row.status, row.worker_id, row.taken, row.revision = states.IN_PROGRESS, "w1", now, 2
                row.attempt = row.takes = 1
        yield row


def make_file(path: Path, scenario: str, jobs: int) -> None:
    SqliteFile(path).close()
    names = [column.name for column in COLUMNS]
    request = JobRequest(input=b'"' + b"x" * 100 + b'"').SerializeToString()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.executemany(
            f"INSERT INTO job ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
            ([getattr(row, name) for name in names] for row in rows(scenario, jobs, SystemClock().now())),
        )
        keys = ((body_key(seq, 0), request) for seq in range(1, jobs + 1))
        connection.executemany("INSERT INTO body (key, body) VALUES (?, ?)", keys)
        connection.execute("COMMIT")


def time_without_processor() -> float:
    """Seconds for which threads of this process were ready to run and did not; 0 where the system doesn't tell."""
    waits = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        with suppress(OSError):  # a thread that has ended
            waits += int(task.read_text().split()[1])
    return waits / 1e9


class Watchdog:
    """Measures the turns of the loop on which it runs."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.results: list[list[object]] = []

    @asynccontextmanager
    async def watch(self, name: str) -> AsyncIterator[None]:
        longest, calmest, busiest = 0.0, 0.0, 0.0

        async def turn() -> None:
            nonlocal longest, calmest, busiest
            while True:
                wall, cpu, queued = time.perf_counter(), time.thread_time(), time_without_processor()
                try:
                    await asyncio.sleep(0.001)
                finally:
                    stall = time.perf_counter() - wall - 0.001
                    longest = max(longest, stall)
                    calmest = max(calmest, stall - max(0.0, time_without_processor() - queued))
                    busiest = max(busiest, time.thread_time() - cpu)

        size, begin = self.log.stat().st_size, time.perf_counter()
        task = asyncio.create_task(turn())
        await asyncio.sleep(0)
        yield
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        seconds = time.perf_counter() - begin
        stalls = [longest * 1000, calmest * 1000, busiest * 1000]
        self.results.append([name, seconds, *stalls, self.log.stat().st_size - size])


async def measure(path: Path, scenario: str, jobs: int) -> list[list[object]]:
    log = path.with_suffix(".log")
    store = SQLiteStore(path, limits=LIMITS)
    with log.open("w") as stream:
        log_to(stream)
        dog = Watchdog(log)
        async with dog.watch("start"):
            await store.open()
        async with dog.watch("nothing, for comparison"):
            await asyncio.sleep(1)

        async def until(status: str, count: int) -> None:
            while getattr((await store.health("ep")).jobs, status) != count:  # noqa: ASYNC110 - the store has no event
                await asyncio.sleep(0.05)

        match scenario:
            case "queued":
                async with dog.watch("a page, health, metrics"):
                    for state in (None, states.FAILED):
                        await store.list_jobs(ListJobsRequest(endpoint="ep", limit=1000, status=state))
                    await store.health("ep")
                    await Metrics(store).text()
                async with dog.watch("a take of 1,000"):
                    await store.take("ep", "w1", 1000, 0)
                async with dog.watch("purge"):
                    await store.purge("ep")
            case "expiring":
                async with dog.watch("all expire at once"):
                    await until("failed", jobs)
            case "retained":
                async with dog.watch("all are forgotten at once"):
                    await until("completed", 0)
            case "running":
                async with dog.watch("the worker of all is lost"):
                    await until("in_queue", jobs)
        async with dog.watch("stop"):
            await store.close()
        logging.getLogger("novita_gateway").handlers.clear()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return [*dog.results, ["peak", peak]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1_000_000)
    parser.add_argument("--scenario", choices=SCENARIOS, help="only this one")
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.file is not None:
        with collecting_in_short():  # as `serve_forever` does
            print(json.dumps(asyncio.run(measure(arguments.file, arguments.scenario, arguments.jobs))))
        return
    print(f"{arguments.jobs:,} jobs")
    print("| jobs | what | s | longest stall ms | with a processor ms | CPU ms of a turn | log KB |")
    print("|---|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        for scenario in [arguments.scenario] if arguments.scenario else SCENARIOS:
            path = Path(name) / f"{scenario}.db"
            make_file(path, scenario, arguments.jobs)
            command = [sys.executable, __file__, "--jobs", str(arguments.jobs), "--scenario", scenario, "--file", path]
            outcome = subprocess.run(command, capture_output=True, text=True, check=True)
            *results, (_, peak) = json.loads(outcome.stdout)
            for what, seconds, wall, calm, cpu, size in results:
                figures = f"{wall:,.0f} | {calm:,.0f} | {cpu:,.0f} | {size / 1000:,.0f}"
                print(f"| {scenario} | {what} | {seconds:.1f} | {figures} |")
            print(f"| {scenario} | peak of memory: {peak:,} MiB | | | | | |", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
