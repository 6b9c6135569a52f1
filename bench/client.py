"""The client beside both published packages, on one gateway, in turns in one run.

`make bench-client` runs it. `--quick` leaves out the minute-long job and repeats less; the other options make single
parts smaller, to see that all of it works.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers import NOVITA, RUNPOD, python_with

HERE = Path(__file__).resolve().parent
NUMBERS = itertools.count()


class Gateway:
    """The gateway's process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._read()

    def serve(self, slots: int) -> str:
        """Starts a worker of `slots` slots on a new endpoint and returns its name."""
        endpoint = f"bench-{next(NUMBERS)}"
        self._ask({"serve": endpoint, "slots": slots})
        return endpoint

    def asked(self, endpoint: str) -> int:
        """Status requests that an endpoint got."""
        return int(self._ask({"count": endpoint}))

    def _ask(self, command: dict[str, Any]) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def gateway(longest_wait: int) -> Iterator[Gateway]:
    command = [sys.executable, HERE / "client_gateway.py", str(longest_wait)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Gateway(process)


def run(python: Path, client: str, gate: Gateway, endpoint: str, task: str, **details: Any) -> Any:
    work = {"client": client, "endpoint": endpoint, "task": task, **gate.address, **details}
    done = subprocess.run(
        [python, HERE / "client_peer.py", json.dumps(work)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{client}, {task}: {done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"\n{title}\n\n| {' | '.join(head)} |\n|{'---|' * len(head)}")
    for row in rows:
        print(f"| {' | '.join(row)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few repeats, 200 jobs, no long job")
    parser.add_argument("--minute", type=float, metavar="SECONDS", help="length of the long job; 0 for none")
    parser.add_argument("--jobs", type=int, help="jobs of the batch")
    parser.add_argument("--flight", type=int, default=500, metavar="JOBS", help="jobs in flight at once")
    options = parser.parse_args()
    quick: bool = options.quick
    minute: float = (0.0 if quick else 60.0) if options.minute is None else options.minute
    count: int = (200 if quick else 1000) if options.jobs is None else options.jobs
    flight: int = options.flight
    ours = Path(sys.executable)
    novita, runpod = python_with(NOVITA), python_with(RUNPOD)
    with gateway(0) as plain, gateway(60_000) as parking:
        clients = [
            ("ours, long polling", ours, "ours", parking, "latency"),
            ("ours async, long polling", ours, "ours", parking, "latency_async"),
            ("bare requests, long polling", ours, "bare", parking, "latency_bare"),
            ("bare aiohttp, long polling", ours, "bare", parking, "latency_bare_async"),
            ("ours", ours, "ours", plain, "latency"),
            ("ours async", ours, "ours", plain, "latency_async"),
            ("novita-gpus 0.0.1", novita, "novita", plain, "latency"),
            ("runpod 1.12.0", runpod, "runpod", plain, "latency"),
        ]

        rows: dict[str, list[str]] = {name: [name] for name, *_ in clients}
        for seconds, times in ((0.02, 5 if quick else 20), (3.0, 1 if quick else 5)):
            for name, python, client, gate, task in clients:
                samples = run(python, client, gate, gate.serve(1), task, seconds=seconds, count=times)
                rows[name].append(f"{statistics.median(samples):.1f} ms")
        head = ["client", "over a job of 20 ms", "over a job of 3 s"]
        if minute:

            def ask(endpoint: str, entry: tuple[str, Path, str, Gateway, str]) -> list[str]:
                _, python, client, gate, task = entry
                (sample,) = run(python, client, gate, endpoint, task, seconds=minute, count=1)
                return [f"{sample:.0f} ms", str(gate.asked(endpoint) - 1)]

            # At once, because they do nothing but wait.
            endpoints = [gate.serve(1) for *_, gate, _ in clients]
            with ThreadPoolExecutor(len(clients)) as pool:
                for row, cells in zip(rows.values(), pool.map(ask, endpoints, clients), strict=True):
                    row += cells
            head += [f"over a job of {minute:g} s", "questions in it"]
        table("Submit to output, beyond the job's own time (medians)", head, list(rows.values()))

        lines = []
        for name, python, client in (
            ("ours", ours, "ours"),
            ("novita-gpus 0.0.1", novita, "novita"),
            ("runpod 1.12.0", runpod, "runpod"),
        ):
            taken, bare = run(python, client, plain, plain.serve(1), "submit", count=100 if quick else 500)
            lines.append([name, f"{taken:.2f} ms", f"{bare:.2f} ms", f"{taken / bare:.2f}"])
        table("One submit, beside a bare requests call (medians)", ["client", "submit", "bare", "ratio"], lines)

        lines = []
        for name, python, client, gate, task, many in (
            ("ours, long polling", ours, "ours", parking, "batch", 64),
            ("ours async, long polling", ours, "ours", parking, "batch_async", 64),
            ("ours", ours, "ours", plain, "batch", 64),
            ("ours async", ours, "ours", plain, "batch_async", 64),
            ("novita-gpus 0.0.1", novita, "novita", plain, "batch", 0),
            ("runpod 1.12.0", runpod, "runpod", plain, "batch", 0),
        ):
            endpoint = gate.serve(32)
            result = run(python, client, gate, endpoint, task, seconds=0.02, count=count, concurrency=many)
            asked = gate.asked(endpoint) / count
            lines.append([name, f"{result['wall']:.1f} s", f"{result['mib']:.0f} MiB", f"{asked:.1f}"])
        table(f"{count} jobs of 20 ms on 32 slots", ["client", "wall time", "peak memory", "questions a job"], lines)

        lines = []
        for name, gate in (("ours async, long polling", parking), ("ours async", plain)):
            endpoint = gate.serve(flight)
            result = run(ours, "ours", gate, endpoint, "batch_async", seconds=2.0, count=flight, concurrency=flight)
            asked = gate.asked(endpoint) / flight
            lines.append(
                [name, f"{result['wall']:.1f} s", f"{result['cpu']:.1f} s", f"{result['mib']:.0f} MiB", f"{asked:.1f}"]
            )
        table(
            f"{flight} jobs of 2 s in flight at once",
            ["client", "wall time", "CPU", "peak memory", "questions a job"],
            lines,
        )


if __name__ == "__main__":
    main()
