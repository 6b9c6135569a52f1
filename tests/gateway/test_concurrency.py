"""Many callers at once: every job goes exactly one way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from novita_gateway import Gateway, MemoryStore, SQLiteStore
from tests.support.gateway_api import Api, Connect


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_takes_cancels_and_purges_at_once_share_the_jobs_out(connect: Connect, tmp_path: Path, kind: str) -> None:
    api = await connect(Gateway(store=SQLiteStore(tmp_path / "jobs.db") if kind == "sqlite" else MemoryStore()))
    ids = await asyncio.gather(*(api.submit(b'{"input": %d}' % index) for index in range(120)))
    taken: Counter[str] = Counter()
    cancelled = 0

    async def worker(name: str) -> None:
        for _ in range(8):
            reply = await api.worker("GET", f"/v1/ep/job-take-batch/{name}?batch_size=2")
            for job in reply.json if reply.status == 200 else []:
                taken[job["id"]] += 1
                await api.done(job["id"], b'{"output": 1}', worker=name)

    async def canceller() -> None:
        nonlocal cancelled
        for job_id in random.Random(5).sample(ids, 30):
            cancelled += (await api.client("POST", f"/v1/ep/cancel/{job_id}")).json["status"] == "CANCELLED"

    async def purger() -> int:
        await asyncio.sleep(0.05)
        removed: int = (await api.client("POST", "/v1/ep/purge-queue")).json["removed"]
        return removed

    workers = [asyncio.create_task(worker(f"w{index}")) for index in range(4)]
    _, purged = await asyncio.gather(canceller(), purger())
    for task in workers:
        task.cancel()
    await asyncio.gather(*workers, return_exceptions=True)

    states = Counter([(await api.status(job_id))["status"] for job_id in ids])
    assert max(taken.values()) == 1, "a job was handed out twice"
    assert sum(states.values()) == 120
    health = (await api.client("GET", "/v1/ep/health")).json["jobs"]
    assert health["inQueue"] == 0
    assert states["COMPLETED"] == health["completed"] <= len(taken)
    assert states["CANCELLED"] <= cancelled + purged
    assert states["IN_PROGRESS"] == health["inProgress"]


async def test_repeated_submits_with_one_key_make_one_job(api: Api) -> None:
    ids = await asyncio.gather(
        *(api.client("POST", "/v1/ep/run", b'{"input": 1}', Idempotency_Key="k") for _ in range(20))
    )
    assert len({reply.json["id"] for reply in ids}) == 1
    other = await api.client("POST", "/v1/other/run", b'{"input": 1}', Idempotency_Key="k")
    assert other.json["id"] != ids[0].json["id"], "keys belong to their endpoint"
