"""What every store must do in the situations that matter most, through nothing but the `Store` protocol and a clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Limits, Store
from novita_gateway._errors import JobNotFoundError
from novita_sdk.models import ExecutionPolicy, JobRequest, JobResult, RunRequest
from tests.support.stores import KINDS, Stores, stores_of, until_parked

LIMITS = Limits(lease=1000, retention=100_000)
ENDPOINT = "ep"
FINAL = {"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"}


@pytest.fixture(params=KINDS)
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stores]:
    with stores_of(request.param, tmp_path / "jobs.db", lambda: request.getfixturevalue("postgres")) as stores:
        yield stores


@pytest.fixture
async def store(stores: Stores) -> AsyncIterator[Store]:
    store = stores.make(limits=LIMITS)
    await store.open()
    yield store
    await store.close()


def run_request(**fields: Any) -> RunRequest:
    return RunRequest(endpoint=ENDPOINT, request=JobRequest(input=b"1", **fields))


async def test_a_repeated_idempotency_key_answers_with_the_first_job(store: Store) -> None:
    request = run_request()
    request.idempotency_key = "k"
    first, second = await asyncio.gather(store.submit(request), store.submit(request))
    assert first.id == second.id
    assert (await store.health(ENDPOINT)).jobs.in_queue == 1


async def test_a_parked_take_that_was_cancelled_swallows_no_job(store: Store) -> None:
    parked = asyncio.ensure_future(store.take(ENDPOINT, "w1", 1, 60_000))
    await until_parked(store)
    submit = asyncio.ensure_future(store.submit(run_request()))
    await asyncio.sleep(0)
    parked.cancel()
    job = await submit
    taken = await store.take(ENDPOINT, "w2", 1, 60_000)
    assert [(other.id, other.attempt) for other in taken.value] == [(job.id, 1)]


async def test_parks_end_when_their_time_is_over(stores: Stores, store: Store) -> None:
    job = await store.submit(run_request())
    await store.take(ENDPOINT, "w1", 1, 0)
    parked = asyncio.gather(
        store.take(ENDPOINT, "w2", 1, 20_000),
        store.stops(ENDPOINT, "w2", 20_000),
        store.status(ENDPOINT, job.id, 20_000),
        store.read_stream(ENDPOINT, job.id, 20_000),
    )
    await until_parked(store, 4)
    for _ in range(40):
        await store.ping(ENDPOINT, "w1", [job.id])
        await stores.advance(0.5, store)
    take, stops, status, stream = await parked
    assert (list(take.value), list(stops.value), status.status, list(stream.value.stream)) == (
        [],
        [],
        "IN_PROGRESS",
        [],
    )


async def test_jobs_of_low_priority_are_taken_after_all_others(store: Store) -> None:
    low = await store.submit(run_request(policy=ExecutionPolicy(low_priority=True)))
    normal = await store.submit(run_request())
    taken = await store.take(ENDPOINT, "w1", 2, 0)
    assert [job.id for job in taken.value] == [normal.id, low.id]


@pytest.mark.parametrize(
    ("policy", "taken", "reason"),
    [
        (ExecutionPolicy(execution_timeout=300), True, "executionTimeout of 300 ms"),
        (ExecutionPolicy(ttl=300), True, "ttl of 300 ms"),
        (ExecutionPolicy(ttl=300), False, "ttl of 300 ms"),
    ],
)
async def test_a_job_over_its_policy_times_out_and_its_worker_is_told(
    stores: Stores, store: Store, policy: ExecutionPolicy, taken: bool, reason: str
) -> None:
    job = await store.submit(run_request(policy=policy))
    if taken:
        await store.take(ENDPOINT, "w1", 1, 0)
    await stores.advance(0.299, store)
    assert (await store.status(ENDPOINT, job.id)).status == ("IN_PROGRESS" if taken else "PENDING")
    await stores.advance(0.001, store)
    status = await store.status(ENDPOINT, job.id)
    assert status.status == "TIMED_OUT"
    assert reason in json.loads(status.error)
    assert list((await store.stops(ENDPOINT, "w1", 0)).value) == ([job.id] if taken else [])


async def test_a_final_job_is_forgotten_after_its_retention(stores: Stores, store: Store) -> None:
    request = run_request()
    request.idempotency_key = "k"
    job = await store.submit(request)
    await store.cancel(ENDPOINT, job.id)
    await stores.advance(LIMITS.retention / 1000 - 0.001, store)
    assert (await store.status(ENDPOINT, job.id)).status == "CANCELLED"
    await stores.advance(0.001, store)
    with pytest.raises(JobNotFoundError, match=job.id):
        await store.status(ENDPOINT, job.id)
    assert (await store.submit(request)).id != job.id


async def test_a_job_of_another_endpoint_is_not_found(store: Store) -> None:
    job = await store.submit(run_request())
    with pytest.raises(JobNotFoundError):
        await store.status("other", job.id)


async def test_a_followed_status_is_held_while_its_revision_is_current(store: Store) -> None:
    job = await store.submit(run_request())
    known = await store.status(ENDPOINT, job.id)
    changes: list[Callable[[], Coroutine[Any, Any, object]]] = [
        lambda: store.take(ENDPOINT, "w1", 1, 0),
        lambda: store.report(ENDPOINT, "w1", job.id, b"1"),
        lambda: store.report(ENDPOINT, "w1", job.id, b"2"),
        lambda: store.finish(ENDPOINT, "w1", job.id, JobResult(output=b"3")),
        lambda: store.finish(ENDPOINT, "w1", job.id, JobResult(output=b"4")),
    ]
    seen = []
    for change in changes:
        held = asyncio.ensure_future(store.status(ENDPOINT, job.id, 60_000, known.revision))
        if known.status not in FINAL:
            await until_parked(store)
            assert not held.done()
        await change()
        known = await held
        seen.append((known.status, known.output))
    assert seen == [
        ("IN_PROGRESS", b""),
        ("IN_PROGRESS", b"1"),
        ("IN_PROGRESS", b"2"),
        ("COMPLETED", b"3"),
        ("COMPLETED", b"3"),
    ]
    outdated = await store.status(ENDPOINT, job.id, 60_000, 1)
    assert outdated.revision == known.revision
