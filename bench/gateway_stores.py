"""The gateway's stores beside each other, with clients and workers on one endpoint; for `bench/gateway.py --store`.

Nothing is pinned: gateways, clients, workers and the database share the machine. The database runs with fsync.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway_client import Server, connect, server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tests.support.postgres_server import PostgresServer

ENDPOINT = "ep"
DURABLE = {"fsync": "on", "full_page_writes": "on", "shared_buffers": "256MB", "max_wal_size": "4GB"}
TICK = os.sysconf("SC_CLK_TCK")

_schemas = (f"bench{number}" for number in itertools.count())


@dataclass
class Trips:
    """Milliseconds of each job's steps."""

    submit: list[float] = field(default_factory=list)
    """The client's call."""
    take: list[float] = field(default_factory=list)
    """From the call of the submit to the job at a parked worker."""
    answer: list[float] = field(default_factory=list)
    """From the call of the result to the state at a parked client."""


class Database:
    """A PostgreSQL server of the bench."""

    def __init__(self, server: PostgresServer) -> None:
        self.dsn = server.dsn
        assert server.process is not None
        self._pid = server.process.pid

    def query(self, statement: str, *parameters: object) -> Any:
        """The first value that a statement has."""
        import asyncpg

        async def run() -> Any:
            connection = await asyncpg.connect(self.dsn)
            try:
                return await connection.fetchval(statement, *parameters)
            finally:
                await connection.close()

        return asyncio.run(run())

    def cpu(self) -> float:
        """CPU seconds of the server and its backends, those that ended too."""
        ticks = 0
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                words = (folder / "stat").read_text().rpartition(") ")[2].split()
            except OSError:
                continue
            if int(folder.name) == self._pid:
                ticks += sum(map(int, words[11:15]))
            elif int(words[1]) == self._pid:
                ticks += sum(map(int, words[11:13]))
        return ticks / TICK


@contextmanager
def database() -> Iterator[Database]:
    place = Path(tempfile.mkdtemp(prefix="novita-bench-"))
    place.chmod(0o755)
    running = PostgresServer(place / "server", **DURABLE)
    try:
        running.create()
        running.start()
        yield Database(running)
    finally:
        running.stop()
        shutil.rmtree(place)


async def load(ports: Sequence[int], clients: int, seconds: float, endpoints: int) -> tuple[float, Trips]:
    """Jobs a second, and the milliseconds of their steps; as many workers as clients."""
    trips, begun, done = Trips(), dict[str, float](), dict[str, float]()
    count = 0
    end = time.perf_counter() + seconds + 0.5

    async def client(number: int) -> None:
        nonlocal count
        connection = await connect(ports[number % len(ports)])
        endpoint = f"{ENDPOINT}{number % endpoints}"
        while (begin := time.perf_counter()) < end:
            job_id = await connection.submit(endpoint)
            now = time.perf_counter()
            if job_id in begun:  # it was taken before its submit was answered
                trips.take.append((begun.pop(job_id) - begin) * 1000)
            else:
                begun[job_id] = begin
            trips.submit.append((now - begin) * 1000)
            await connection.status(endpoint, job_id, "?wait=60000")
            trips.answer.append((time.perf_counter() - done.pop(job_id)) * 1000)
            count += 1

    async def worker(number: int) -> None:
        # Not at the gateway of the client with that number.
        connection = await connect(ports[(number + 1) % len(ports)])
        endpoint = f"{ENDPOINT}{number % endpoints}"
        name = f"w{number}"
        while True:
            job_id = await connection.take(endpoint, name)
            now = time.perf_counter()
            if job_id in begun:
                trips.take.append((now - begun.pop(job_id)) * 1000)
            else:
                begun[job_id] = now
            done[job_id] = time.perf_counter()
            await connection.done(endpoint, job_id, name)

    workers = [asyncio.ensure_future(worker(number)) for number in range(clients)]
    begin = time.perf_counter()
    await asyncio.gather(*map(client, range(clients)))
    rate = count / (time.perf_counter() - begin)
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)
    return rate, trips


@dataclass
class Round:
    """What one load measured."""

    rate: float
    trips: Trips
    gateway: float
    """CPU microseconds a job, over all gateways."""
    database: float
    """CPU microseconds a job."""
    wal: float
    """Bytes a job."""
    indexes: float
    """Bytes a job."""


def one_round(
    kind: str, gateways: int, clients: int, *, seconds: float, endpoints: int, base: Database, directory: Path
) -> Round:
    with ExitStack() as stack:
        if kind == "sqlite":
            place = ["durable", str(directory / f"{next(_schemas)}.db")]
        else:
            place = ["postgres", base.dsn, schema := next(_schemas)]
            base.query("CHECKPOINT")
        running = [stack.enter_context(server(*place)) for _ in range(gateways)]
        cpu, base_cpu, wal = _cpu(running), base.cpu(), base.query("SELECT pg_current_wal_lsn()::text")
        rate, trips = asyncio.run(load([each.port for each in running], clients, seconds, endpoints))
        jobs = len(trips.answer)
        cpu, base_cpu = _cpu(running) - cpu, base.cpu() - base_cpu
        wal_bytes = base.query("SELECT (pg_current_wal_lsn() - $1::text::pg_lsn)::float8", wal)
        index_bytes = 0.0
        if kind != "sqlite":
            index_bytes = base.query(
                "SELECT sum(pg_indexes_size(c.oid))::float8 FROM pg_class c WHERE relkind = 'r'"
                " AND relnamespace = $1::text::regnamespace",
                schema,
            )
    if kind != "sqlite":
        base.query(f"DROP SCHEMA {schema} CASCADE")
    return Round(rate, trips, cpu / jobs * 1e6, base_cpu / jobs * 1e6, wal_bytes / jobs, index_bytes / jobs)


def _cpu(running: Sequence[Server]) -> float:
    return sum(each.ask("cpu") for each in running)


def measure_stores(
    kinds: Sequence[str],
    *,
    seconds: float,
    rounds: int,
    in_flight: Sequence[int],
    gateways: Sequence[int],
    endpoints: int,
    base: Database,
) -> None:
    print(f"\njobs of 1 KB in and 1 KB out; clients and workers on {endpoints} endpoint(s); median of {rounds} rounds")
    print(
        "in flight    store gateways   jobs/s  of sqlite   submit p50   p99     take p50   p99   answer p50   p99"
        "   CPU us/job: gateways  database   WAL B/job  index B/job"
    )
    combinations = [(kind, many) for kind in kinds for many in (gateways if kind == "postgres" else (1,))]
    with tempfile.TemporaryDirectory() as name:
        for clients in in_flight:
            results: dict[tuple[str, int], list[Round]] = {each: [] for each in combinations}
            for _ in range(rounds):
                for kind, many in combinations:
                    result = one_round(
                        kind, many, clients, seconds=seconds, endpoints=endpoints, base=base, directory=Path(name)
                    )
                    results[kind, many].append(result)
            first = _median(results[combinations[0]], "rate")
            for (kind, many), measured in results.items():
                rate = _median(measured, "rate")
                line = f"{clients:>9}{kind:>9}{many:>9}{rate:>9.0f}{rate / first:>11.2f}"
                for step in ("submit", "take", "answer"):
                    values = [value for each in measured for value in getattr(each.trips, step)]
                    p99 = statistics.quantiles(values, n=100)[98]
                    line += f"{statistics.median(values):>13.1f}{p99:>6.0f}"
                line += f"{_median(measured, 'gateway'):>24.0f}"
                if kind == "postgres":
                    line += f"{_median(measured, 'database'):>10.0f}{_median(measured, 'wal'):>12.0f}"
                    line += f"{_median(measured, 'indexes'):>13.0f}"
                print(line, flush=True)


def _median(measured: Sequence[Round], name: str) -> float:
    return statistics.median(getattr(each, name) for each in measured)


FILL = """
WITH j AS (
    INSERT INTO {schema}.job (endpoint, id, created, expires, wake, ttl, rank)
    SELECT 'full', lpad(to_hex(n), 24, '0'), now, now + 86400000, now + 86400000, 86400000, nextval('{schema}.rank')
    FROM generate_series(1, $1::int) AS n, (SELECT (extract(epoch FROM now()) * 1000)::bigint AS now) AS t
    RETURNING endpoint, id)
INSERT INTO {schema}.body (endpoint, id, part, body) SELECT endpoint, id, 0, $2::bytea FROM j
"""


async def takes(port: int, endpoint: str, rounds: int) -> list[float]:
    """Milliseconds of takes that find a job at once."""
    connection, times = await connect(port), list[float]()
    for _ in range(rounds):
        await connection.submit(endpoint)
        begin = time.perf_counter()
        job_id = await connection.take(endpoint)
        times.append((time.perf_counter() - begin) * 1000)
        await connection.done(endpoint, job_id)
    return times


def measure_queue(base: Database, *, jobs: int, rounds: int) -> None:
    from novita_sdk.models import JobRequest

    schema = next(_schemas)
    with server("postgres", base.dsn, schema) as running:
        body = JobRequest(input=json.dumps("x" * 1000).encode()).SerializeToString()
        base.query(FILL.format(schema=schema), jobs, body)
        base.query(f"VACUUM ANALYZE {schema}.job")
        empty, full = list[float](), list[float]()
        for _ in range(5):
            empty += asyncio.run(takes(running.port, "empty", rounds // 5))
            full += asyncio.run(takes(running.port, "full", rounds // 5))
    base.query(f"DROP SCHEMA {schema} CASCADE")
    print("\na take, in ms                         median     p99")
    for name, values in (("empty queue", empty), (f"{jobs:,} queued", full)):
        print(f"{name:<34}{statistics.median(values):>10.2f}{statistics.quantiles(values, n=100)[98]:>8.2f}")
    print(f"of the empty queue's: {statistics.median(full) / statistics.median(empty):.2f}")


def main(
    kinds: Sequence[str], *, quick: bool, endpoints: int, in_flight: Sequence[int], gateways: Sequence[int]
) -> None:
    with database() as base:
        measure_stores(
            kinds,
            seconds=2.0 if quick else 5.0,
            rounds=1 if quick else 3,
            in_flight=in_flight,
            gateways=gateways,
            endpoints=endpoints,
            base=base,
        )
        if "postgres" in kinds:
            measure_queue(base, jobs=100_000 if quick else 1_000_000, rounds=200 if quick else 500)
