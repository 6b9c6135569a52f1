"""Answers of the database that are lost: the call is answered as if they had come, and nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from novita_gateway import Limits, ManualClock, PostgresStore
from novita_gateway._errors import JobNotFoundError
from novita_sdk.models import JobRequest, JobResult, ListJobsRequest, RunRequest
from tests.support.cutting_proxy import CuttingProxy, cutting_proxy
from tests.support.stores import dropped, execute, new_schema


@pytest.fixture
def tables(postgres: str) -> Iterator[str]:
    schema = new_schema()
    with dropped(postgres, schema):
        yield schema


@pytest.fixture
async def proxy(postgres: str) -> AsyncIterator[CuttingProxy]:
    async with cutting_proxy(postgres) as proxy:
        yield proxy


@pytest.fixture
async def store(proxy: CuttingProxy, tables: str) -> AsyncIterator[PostgresStore]:
    """A store with a worker that is known, on a clock that stands: nothing runs by itself."""
    limits = Limits(lease=60_000)
    store = PostgresStore(proxy.dsn, schema=tables, limits=limits, clock=ManualClock(), count_age=0)
    await store.open()
    await store.take("ep", "w1", 1, 0)
    yield store
    await store.close()


def request(key: str | None = None) -> RunRequest:
    return RunRequest(endpoint="ep", request=JobRequest(input=b"1"), idempotency_key=key)


async def running(store: PostgresStore) -> str:
    job = await store.submit(request())
    await store.take("ep", "w1", 1, 0)
    return job.id


@pytest.mark.parametrize("key", [None, "k"])
async def test_a_submit_makes_one_job(store: PostgresStore, proxy: CuttingProxy, key: str | None) -> None:
    proxy.lose(2)
    job = await store.submit(request(key))
    assert proxy.lost == 2
    assert [listed.id for listed in (await store.list_jobs(ListJobsRequest(endpoint="ep"))).jobs] == [job.id]


async def test_many_submits_make_one_job_each(store: PostgresStore, proxy: CuttingProxy) -> None:
    proxy.lose(2)
    jobs = await asyncio.gather(
        *(store.submit(request(f"k{number % 10}" if number % 2 else None)) for number in range(40))
    )
    listed = {job.id for job in (await store.list_jobs(ListJobsRequest(endpoint="ep"))).jobs}
    assert listed == {job.id for job in jobs}
    assert len(listed) == 25


async def test_a_take_gets_what_it_got(store: PostgresStore, proxy: CuttingProxy) -> None:
    ids = [(await store.submit(request())).id for _ in range(3)]
    proxy.lose()
    taken = await store.take("ep", "w1", 2, 0)
    assert proxy.lost == 1
    assert [(job.id, job.attempt, job.input) for job in taken.value] == [(ids[0], 1, b"1"), (ids[1], 1, b"1")]
    assert (await store.health("ep")).jobs.in_progress == 2


async def test_a_result_is_kept_once(store: PostgresStore, proxy: CuttingProxy) -> None:
    job_id = await running(store)
    proxy.lose()
    await store.finish("ep", "w1", job_id, JobResult(output=b"7"))
    status = await store.status("ep", job_id)
    assert proxy.lost == 1
    assert (status.status, status.output, status.revision) == ("COMPLETED", b"7", 3)


@pytest.mark.parametrize("place", [(None, None), (1, 0)])
async def test_a_chunk_is_kept_once(
    store: PostgresStore, proxy: CuttingProxy, place: tuple[int | None, int | None]
) -> None:
    job_id = await running(store)
    proxy.lose()
    await store.append("ep", "w1", job_id, b'"a"', *place)
    assert proxy.lost == 1
    page = await store.read_stream("ep", job_id)
    assert [chunk.output for chunk in page.value.stream] == [b'"a"']


async def test_chunks_that_nobody_else_reads_are_read_once(store: PostgresStore, proxy: CuttingProxy) -> None:
    job_id = await running(store)
    await store.append("ep", "w1", job_id, b'"a"')
    proxy.lose(3)
    assert len((await store.read_stream("ep", job_id)).value.stream) == 1
    assert len((await store.read_stream("ep", job_id)).value.stream) == 0


async def test_a_retry_is_one(store: PostgresStore, proxy: CuttingProxy) -> None:
    job_id = await running(store)
    await store.finish("ep", "w1", job_id, JobResult(error=b'"e"'))
    proxy.lose(2)
    assert (await store.retry("ep", job_id)).status == "PENDING"
    assert proxy.lost == 2


async def test_a_cancel_is_one(store: PostgresStore, proxy: CuttingProxy) -> None:
    job_id = await running(store)
    proxy.lose()
    assert (await store.cancel("ep", job_id)).revision == 3
    assert list((await store.stops("ep", "w1", 0)).value) == [job_id]


async def test_what_is_said_again_stands_behind_a_further_commit(
    store: PostgresStore, proxy: CuttingProxy, postgres: str
) -> None:
    """An answer after a lost one is told only when the log is written beyond all that may have been done."""
    job_id = await running(store)
    await store.finish("ep", "w1", job_id, JobResult(output=b"7"))
    (before,) = await execute(postgres, "SELECT pg_current_wal_lsn() AS place")
    proxy.lose()
    with pytest.raises(JobNotFoundError):
        await store.status("ep", "0" * 24)
    (after,) = await execute(postgres, "SELECT pg_current_wal_lsn() AS place")
    assert after["place"] != before["place"], "a read that was repeated was answered without a commit of its own"
