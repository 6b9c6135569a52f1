"""Commands over very many jobs: they hold the event loop up for no longer than others do, and log little."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from novita_gateway import Gateway, Limits, MemoryStore, SQLiteStore, Store
from novita_gateway._errors import UnavailableError
from novita_gateway._garbage import collecting_in_short
from novita_gateway.board import board
from novita_gateway.board.rows import WorkerRow
from novita_gateway.board.runs import Runs
from novita_gateway.board.timers import Timers
from novita_gateway.store import board_store
from novita_sdk.models import ExecutionPolicy, JobRequest, JobResult, ListJobsRequest, RunRequest
from tests.support.gateway_api import Connect
from tests.support.waiting import eventually_async

JOBS = 10_000
LONG = 0.05
"""Seconds of CPU time."""


@pytest.fixture(params=["memory", "sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What the gateway logs."""
    logger, found = logging.getLogger("novita_gateway"), []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())  # type: ignore[method-assign]  # collects
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield found
    logger.removeHandler(handler)
    logger.setLevel(before)


def store_of(kind: str, folder: Path, **limits: int) -> Store:
    made = Limits(**{"lease": 600_000, **limits})
    return MemoryStore(limits=made) if kind == "memory" else SQLiteStore(folder / "jobs.db", limits=made)


@asynccontextmanager
async def filled(store: Store, jobs: int = JOBS, ttl: int = 600_000) -> AsyncIterator[Store]:
    await store.open()
    request = RunRequest(endpoint="ep", request=JobRequest(input=b"1", policy=ExecutionPolicy(ttl=ttl)))
    for _ in range(0, jobs, 500):
        await asyncio.gather(*(store.submit(request) for _ in range(500)))
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def in_short_turns() -> AsyncIterator[None]:
    """Measures the CPU time of the loop's thread from turn to turn: other work on the machine does not count."""
    longest = 0.0

    async def turn() -> None:
        nonlocal longest
        while True:
            begin = time.thread_time()
            try:
                await asyncio.sleep(0.001)
            finally:
                longest = max(longest, time.thread_time() - begin)

    gc.collect()  # what other tests left
    gc.freeze()
    task = asyncio.create_task(turn())
    try:
        await asyncio.sleep(0)
        yield
        await asyncio.sleep(0)
    finally:
        gc.unfreeze()
        task.cancel()
        await asyncio.wait([task])
    assert longest < LONG, f"the event loop was held up for {longest * 1000:.0f} ms of CPU time"


async def counted(store: Store, **expected: int) -> None:
    async with asyncio.timeout(60):
        while True:
            jobs = (await store.health("ep")).jobs
            if all(getattr(jobs, name) == count for name, count in expected.items()):
                return
            await asyncio.sleep(0.01)


async def test_a_purge(kind: str, tmp_path: Path, lines: list[str]) -> None:
    async with filled(store_of(kind, tmp_path)) as store:
        async with in_short_turns():
            assert await store.purge("ep") == JOBS
        assert (await store.health("ep")).jobs.in_queue == 0
        assert "10,000 jobs of endpoint ep were purged" in lines
    assert len(lines) < 300, "a line for every job"
    told = [int(line.split(": ")[1].split(" ")[0].replace(",", "")) for line in lines if "more in the same" in line]
    assert sum(told) + sum("the queue was purged" in line for line in lines) == JOBS


async def test_an_expiry_of_all(kind: str, tmp_path: Path, lines: list[str]) -> None:
    async with filled(store_of(kind, tmp_path), ttl=4000) as store, in_short_turns():
        await counted(store, failed=JOBS)
    assert 0 < len(lines) < 300


async def test_a_worker_of_all_that_is_lost(kind: str, tmp_path: Path, lines: list[str]) -> None:
    async with filled(store_of(kind, tmp_path, lease=3000)) as store:
        while (await store.take("ep", "w1", 1000, 0)).value:
            pass
        async with in_short_turns():
            await counted(store, in_progress=0, in_queue=JOBS)
    assert 0 < len(lines) < 300


async def test_a_retention_of_all_that_ends(kind: str, tmp_path: Path) -> None:
    async with filled(store_of(kind, tmp_path, retention=2000)) as store:
        await store.purge("ep")
        async with in_short_turns():

            async def is_empty() -> bool:
                return not (await store.list_jobs(ListJobsRequest(endpoint="ep", limit=1))).jobs

            await eventually_async(is_empty)


async def test_a_batch_of_jobs_and_a_page(kind: str, tmp_path: Path) -> None:
    async with filled(store_of(kind, tmp_path)) as store, in_short_turns():
        assert len((await store.take("ep", "w1", 1000, 0)).value) == 1000
        assert len((await store.list_jobs(ListJobsRequest(endpoint="ep", limit=1000))).jobs) == 1000


async def test_a_start(tmp_path: Path) -> None:
    async with filled(store_of("sqlite", tmp_path)):
        pass
    store = store_of("sqlite", tmp_path)
    async with in_short_turns():
        await store.open()
    await counted(store, in_queue=JOBS)
    await store.close()


async def test_the_measure_finds_a_turn_that_is_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    """The safety switched off: the tests above can fail."""
    monkeypatch.setattr(board_store, "ROWS_AT_ONCE", 10 * JOBS)
    monkeypatch.setattr(board, "ROWS_PER_TICK", 10 * JOBS)
    async with filled(store_of("sqlite", tmp_path), jobs=2 * JOBS) as store:
        with pytest.raises(AssertionError, match="was held up"):
            async with in_short_turns():
                await store.purge("ep")
    assert len(lines) > 0


async def test_a_purge_takes_what_waited_when_it_was_asked_for_and_needs_nobody_to_wait(
    connect: Connect, tmp_path: Path
) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    api = await connect(Gateway(store=store))
    request = RunRequest(endpoint="ep", request=JobRequest(input=b"1"))
    for _ in range(0, 6000, 500):
        await asyncio.gather(*(store.submit(request) for _ in range(500)))
    purge = asyncio.ensure_future(api.client("POST", "/v1/ep/purge-queue"))

    async def is_purging() -> bool:
        return bool(store._purges)

    async def is_over() -> bool:
        return not store._purges

    async def queued() -> int:
        return int((await store.health("ep")).jobs.in_queue)

    await eventually_async(is_purging)
    assert await queued() > 0, "it was over at once, which shows nothing"
    newer = await api.submit()
    purge.cancel()
    await eventually_async(is_over)
    assert (await queued(), (await api.status(newer))["status"]) == (1, "PENDING")


async def test_a_purge_that_the_end_of_the_gateway_cuts_short_says_so(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "jobs.db")
    async with filled(store, jobs=2000):
        purge = asyncio.ensure_future(store.purge("ep"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    with pytest.raises(UnavailableError, match=r"stopped after [1-9][0-9,]* jobs of endpoint 'ep' were cancelled"):
        await purge


async def test_a_stream_of_very_many_pieces_is_read_in_pages(kind: str, tmp_path: Path) -> None:
    async with filled(store_of(kind, tmp_path), jobs=500) as store:
        (job,) = (await store.take("ep", "w1", 1, 0)).value
        await asyncio.gather(*(store.append("ep", "w1", job.id, b"%d" % index) for index in range(2500)))
        await store.finish("ep", "w1", job.id, JobResult(output=b"1"))
        pages = [[chunk.output for chunk in (await store.read_stream("ep", job.id)).value.stream] for _ in range(4)]
        assert [len(page) for page in pages] == [1000, 1000, 500, 0]
        assert [piece for page in pages for piece in page] == [b"%d" % index for index in range(2500)]


def test_timers_keep_few_buckets_and_come_neither_late_nor_lost() -> None:
    timers, now = Timers(), 1_000_000
    workers = [
        WorkerRow(endpoint="ep", id=str(index), seen=now + 1 + index * 7919 % 90_000_000) for index in range(50_000)
    ]
    for worker in workers:
        timers.schedule(worker, worker.seen, now)
    assert len(timers._buckets) < 3000
    found, looks = [], 0
    while (wake := timers.next_wake()) is not None:
        now = max(now, wake)
        for item in timers.pop_due(now):
            assert isinstance(item, WorkerRow)
            looks += 1
            if item.seen > now:
                timers.schedule(item, item.seen, now)
            else:
                assert item.seen == now, "it came late"
                found.append(item)
    assert found == sorted(workers, key=lambda worker: worker.seen)
    assert looks < 6 * len(workers)


def test_items_in_runs_are_found_wherever_others_are_taken_out() -> None:
    recent: Runs[int] = Runs(int)
    for number in range(1400, 3000):
        recent.append(number)
    for number in reversed(range(1400)):
        recent.prepend(number)
    assert list(recent) == list(range(3000))
    kept = [number for number in range(3000) if number % 3 == 0 and not 600 <= number < 1900]
    for number in set(range(3000)) - set(kept):
        recent.remove(number)
    for place in (None, 0, 1, 511, 512, 600, 1200, 1900, 2999, 5000):
        assert list(recent.before(place)) == [n for n in reversed(kept) if place is None or n < place]
    assert len(recent) == len(kept)
    for number in kept:
        assert recent.pop_first() == number
    assert not recent
    assert list(recent.before(7)) == []


@contextmanager
def unfrozen() -> Iterator[None]:
    try:
        yield
    finally:
        gc.unfreeze()


def test_a_program_looks_only_once_for_garbage_among_very_many_objects() -> None:
    with unfrozen(), collecting_in_short():
        before = gc.get_freeze_count()
        many: list[list[object]] = [[None] for _ in range(600_000)]
        for _ in range(3):
            gc.collect()
        assert gc.get_freeze_count() - before >= 0.8 * len(many)
