"""The gateway beside a bare aiohttp server that answers constants: throughput, latency, memory, restart.

`make bench-gateway` runs it. `--quick` measures less. The server has one core and the client another. Rounds of the
servers alternate, so that a busy machine hits all of them; a table shows the best round of each.

With `--store sqlite,postgres` it measures these stores beside each other instead, at one, two and four gateways.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import tempfile
import time
from pathlib import Path

from gateway_client import Connection, connect, server

KINDS = ("bare", "memory", "durable")
FIRST_CORE: set[int] = set()
"""Where the servers run."""


def file_of(kind: str, file: Path) -> tuple[str, ...]:
    return (str(file),) if kind == "durable" else ()


async def jobs_per_second(port: int, clients: int, seconds: float) -> float:
    count = 0

    async def client(number: int) -> None:
        nonlocal count
        connection = await connect(port)
        endpoint = f"ep{number}"
        while time.perf_counter() < end:
            job_id = await connection.submit(endpoint)
            await connection.take(endpoint)
            await connection.done(endpoint, job_id)
            await connection.status(endpoint, job_id)
            count += 1
        connection.transport.close()

    begin = time.perf_counter()
    end = begin + seconds
    await asyncio.gather(*(client(number) for number in range(clients)))
    return count / (time.perf_counter() - begin)


async def round_trips(port: int, rounds: int) -> list[float]:
    """Milliseconds of one request after the other."""
    connection = await connect(port)
    trips = []
    for _ in range(rounds):
        begin = time.perf_counter()
        await connection.status("none", "none")
        trips.append((time.perf_counter() - begin) * 1000)
    return trips


async def wake_ups(port: int, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds from a submit to a parked worker's job, and from a result to a parked client's."""
    client, worker, waiter = await connect(port), await connect(port), await connect(port)
    takes, waits = [], []
    for _ in range(rounds):
        take = asyncio.ensure_future(worker.take("ep"))
        await asyncio.sleep(0.002)
        begin = time.perf_counter()
        submit = asyncio.ensure_future(client.submit("ep"))
        await take
        takes.append((time.perf_counter() - begin) * 1000)
        job_id = await submit
        wait = asyncio.ensure_future(waiter.status("ep", job_id, "?wait=60000"))
        await asyncio.sleep(0.002)
        begin = time.perf_counter()
        done = asyncio.ensure_future(worker.done("ep", job_id))
        await wait
        waits.append((time.perf_counter() - begin) * 1000)
        await done
    return takes, waits


async def fill(port: int, jobs: int) -> None:
    connections = [await connect(port) for _ in range(32)]

    async def submit(connection: Connection) -> None:
        for _ in range(jobs // len(connections)):
            await connection.submit("queue")

    await asyncio.gather(*map(submit, connections))


async def park(port: int, count: int) -> list[asyncio.Future[str]]:
    parked = []
    for number in range(count):
        connection = await connect(port)
        parked.append(asyncio.ensure_future(connection.take(f"parked{number}")))
        if number % 100 == 0:
            await asyncio.sleep(0)
    return parked


def measure_throughput(directory: Path, *, seconds: float, rounds: int) -> None:
    print(f"\njobs: submit, take, done, status; 1 KB in, 1 KB out; best of {rounds} rounds")
    print("clients     server    jobs/s  of bare   CPU us/job  of bare")
    for clients in (1, 8, 64):
        rates, costs = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, float("inf"))
        for number in range(rounds):
            for kind in KINDS:
                with server(kind, *file_of(kind, directory / f"throughput-{clients}-{number}.db")) as running:
                    cpu = running.ask("cpu")
                    rate = asyncio.run(jobs_per_second(running.port, clients, seconds))
                    cost = (running.ask("cpu") - cpu) / (rate * seconds) * 1e6
                rates[kind], costs[kind] = max(rates[kind], rate), min(costs[kind], cost)
        for kind in KINDS:
            rate, cost = rates[kind] / rates["bare"], costs["bare"] / costs[kind]
            print(f"{clients:>7}{kind:>11}{rates[kind]:>10.0f}{rate:>9.2f}{costs[kind]:>13.0f}{cost:>9.2f}")


def measure_latency(directory: Path, *, rounds: int) -> None:
    print("\nlatency in ms                         median     p99")
    with server("bare", cores=FIRST_CORE) as running:
        rows = [("bare round trip", asyncio.run(round_trips(running.port, rounds)))]
    for kind in ("memory", "durable"):
        with server(kind, *file_of(kind, directory / "latency.db")) as running:
            takes, waits = asyncio.run(wake_ups(running.port, rounds))
        rows += [(f"{kind}: submit to parked worker", takes), (f"{kind}: result to parked client", waits)]
    for name, values in rows:
        print(f"{name:<34}{statistics.median(values):>10.2f}{statistics.quantiles(values, n=100)[98]:>8.2f}")


def measure_memory(directory: Path, *, jobs: int, parked: int) -> None:
    print("\nmemory of the server process")
    for kind in ("memory", "durable"):
        with server(kind, *file_of(kind, directory / "queue.db")) as running:
            before = running.ask("rss")
            asyncio.run(fill(running.port, jobs))
            each = (running.ask("rss") - before) / jobs * 1024
            print(f"{kind:>10}: {each:,.0f} bytes for each of {jobs:,} queued jobs of 1 KB")
        if kind == "durable":
            begin = time.perf_counter()
            with server(kind, *file_of(kind, directory / "queue.db")) as running:
                seconds = time.perf_counter() - begin
                print(f"{'restart':>10}: {seconds:.2f} s with {jobs:,} queued jobs, the start of Python included")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(parked, hard - 500)
    with server("memory", cores=FIRST_CORE) as running:
        before = running.ask("rss")

        async def measure() -> float:
            futures = await park(running.port, count)
            await asyncio.sleep(0.5)
            after = running.ask("rss")
            for future in futures:
                future.cancel()
            return after

        each = (asyncio.run(measure()) - before) / count
        print(f"{'parked':>10}: {each:,.1f} KiB for each of {count:,} parked takes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure less, in about half a minute")
    parser.add_argument("--store", metavar="KINDS", help="sqlite,postgres: measure these beside each other instead")
    parser.add_argument("--in-flight", default="8,64,512", help="with --store: jobs at a time")
    parser.add_argument("--gateways", default="1,2,4", help="with --store: gateways on one database")
    parser.add_argument("--endpoints", type=int, default=1, help="with --store: how many the jobs are spread over")
    arguments = parser.parse_args()
    quick = arguments.quick
    if arguments.store:
        import gateway_stores

        gateway_stores.main(
            arguments.store.split(","),
            quick=quick,
            endpoints=arguments.endpoints,
            in_flight=[*map(int, arguments.in_flight.split(","))],
            gateways=[*map(int, arguments.gateways.split(","))],
        )
        return
    if hasattr(os, "sched_setaffinity"):
        FIRST_CORE.add(min(os.sched_getaffinity(0)))
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        measure_throughput(directory, seconds=0.7 if quick else 3.0, rounds=2 if quick else 5)
        measure_latency(directory, rounds=100 if quick else 1000)
        measure_memory(directory, jobs=6_400 if quick else 100_000, parked=1_000 if quick else 10_000)


if __name__ == "__main__":
    main()
