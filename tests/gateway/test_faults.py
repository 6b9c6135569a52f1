"""Faults on purpose, and a clock that is moved by hand."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import requests

from novita_gateway import Faults, Gateway, Limits, ManualClock, MemoryStore, serve_in_thread
from tests.support.gateway_api import Api, Connect
from tests.support.waiting import DEADLINE, eventually_async


async def statuses(api: Api, count: int) -> list[int]:
    return [(await api.client("GET", "/v1/ep/health")).status for _ in range(count)]


async def test_the_same_seed_gives_the_same_faults(connect: Connect) -> None:
    faults = Faults(seed=7, too_many_requests=0.3, unavailable=0.3)
    first = await statuses(await connect(Gateway(faults=faults)), 30)
    second = await statuses(await connect(Gateway(faults=faults)), 30)
    other = await statuses(await connect(Gateway(faults=Faults(seed=8, too_many_requests=0.3, unavailable=0.3))), 30)
    assert first == second != other
    assert set(first) == {200, 429, 503}


async def test_a_storm_lasts_for_so_many_requests(connect: Connect) -> None:
    api = await connect(Gateway(faults=Faults(seed=3, unavailable=0.1, storm=4)))
    seen = "".join("x" if status == 503 else "." for status in await statuses(api, 80))
    storms = [storm for storm in seen.rstrip("x").split(".") if storm]
    assert storms
    assert all(len(storm) % 4 == 0 for storm in storms)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"storm": 0}, "storm"),
        ({"lost_reply": 1.5}, "lost_reply"),
        ({"slow_body": -0.1}, "slow_body"),
        ({"methods": {"FinishJbo"}}, "FinishJbo"),
    ],
)
def test_faults_that_make_no_sense_are_refused(fields: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Faults(**fields)


async def test_a_refused_submit_queues_nothing(connect: Connect) -> None:
    api = await connect(Gateway(faults=Faults(too_many_requests=1.0, methods={"Run"})))
    reply = await api.client("POST", "/v1/ep/run", b'{"input": 1}')
    assert (reply.status, reply.headers["Retry-After"]) == (429, "0")
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 0


async def test_a_lost_reply_was_carried_out(connect: Connect) -> None:
    api = await connect(Gateway(faults=Faults(lost_reply=1.0, methods={"Run"})))
    with pytest.raises(aiohttp.ClientError):
        await api.client("POST", "/v1/ep/run", b'{"input": 1}')
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 1


async def test_a_submit_repeated_after_a_lost_reply_is_the_same_job(connect: Connect) -> None:
    api = await connect(Gateway(faults=Faults(seed=1, lost_reply=0.5, methods={"Run"})))
    ids = set()
    for _ in range(10):
        try:
            ids.add(await api.submit(Idempotency_Key="once"))
        except aiohttp.ClientError:
            continue
    assert len(ids) == 1
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 1


async def test_a_slow_body_arrives_whole(connect: Connect) -> None:
    api = await connect(Gateway(faults=Faults(slow_body=1.0)))
    job_id = await api.submit()
    assert (await api.status(job_id))["status"] == "PENDING"


async def test_a_job_that_is_delivered_twice_has_one_result(connect: Connect) -> None:
    api = await connect(Gateway(faults=Faults(duplicate_delivery=1.0)))
    job_id = await api.submit()
    first, second = await api.take("w1"), await api.take("w2")
    assert first["id"] == second["id"] == job_id
    assert (await api.done(job_id, b'{"output": "first"}', worker="w1")).status == 200
    assert (await api.done(job_id, b'{"output": "second"}', worker="w2")).status == 200
    assert (await api.status(job_id))["output"] == "second"


async def test_lost_pings_end_a_lease(connect: Connect) -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock, limits=Limits(lease=10_000, max_attempts=1))
    api = await connect(Gateway(store=store, faults=Faults(lost_ping=1.0)))
    job_id = await api.submit()
    await api.take("w1")
    clock.advance(9)
    await api.worker("GET", f"/v1/ep/ping/w1?job_id={job_id}")
    clock.advance(1)
    status = await api.status(job_id)
    assert status["status"] == "FAILED"
    assert "stopped pinging" in status["error"]


async def test_pings_keep_a_lease(connect: Connect) -> None:
    clock = ManualClock()
    api = await connect(Gateway(store=MemoryStore(clock=clock, limits=Limits(lease=10_000))))
    job_id = await api.submit()
    await api.take("w1")
    for _ in range(20):
        clock.advance(9)
        await api.worker("GET", f"/v1/ep/ping/w1?job_id=other%2C{job_id}")
    assert (await api.status(job_id))["retries"] == 0
    clock.advance(10)
    assert (await api.status(job_id))["status"] == "PENDING"
    assert (await api.take("w2"))["attempt"] == 2


async def test_parks_follow_the_clock(connect: Connect) -> None:
    clock = ManualClock()
    api = await connect(Gateway(store=MemoryStore(clock=clock)))
    take = asyncio.ensure_future(api.worker("GET", "/v1/ep/job-take/w1"))

    async def is_parked() -> bool:
        return bool((await api.client("GET", "/v1/ep/health")).json["workers"]["idle"] == 1)

    await eventually_async(is_parked)
    clock.advance(20)
    assert (await take).status == 204


def test_a_clock_is_moved_from_any_thread() -> None:
    clock = ManualClock()
    with serve_in_thread(lambda: Gateway(store=MemoryStore(clock=clock))) as gateway:
        headers = {"Authorization": gateway.api_key}
        reply = requests.post(
            f"{gateway.url}/ep/run", json={"input": 1, "policy": {"ttl": 5000}}, headers=headers, timeout=DEADLINE
        )
        clock.advance(6)
        status = requests.get(f"{gateway.url}/ep/status/{reply.json()['id']}", headers=headers, timeout=DEADLINE).json()
        assert status["status"] == "TIMED_OUT"


def test_a_gateway_that_can_not_start_raises_in_the_callers_thread() -> None:
    with (
        serve_in_thread() as gateway,
        pytest.raises(OSError, match="in use"),
        serve_in_thread(lambda: Gateway(port=gateway.port)),
    ):
        raise AssertionError("it started")
