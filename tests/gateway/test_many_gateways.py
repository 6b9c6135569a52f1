"""Several gateways on one database: whatever is asked of one is true at the others, and happens there at once."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from aiohttp import web

from novita_gateway import Limits, Waits
from tests.gateway.conftest import Gateways
from tests.support.gateway_api import Api, Connect
from tests.support.stores import until_parked
from tests.support.waiting import DEADLINE

WAITS = Waits(take=60_000)


@pytest.fixture
async def three(gateways: Gateways, connect: Connect) -> list[Api]:
    return [await connect(gateways(waits=WAITS, limits=Limits(lease=60_000))) for _ in range(3)]


async def meanwhile(api: Api, call: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """Begins a call that waits at that gateway, and returns when it does."""
    task = asyncio.ensure_future(call)
    await until_parked(api.gateway.store)
    return task


async def test_a_submit_at_one_is_taken_at_another_and_waited_for_at_a_third(three: Sequence[Api]) -> None:
    first, second, third = three
    take = await meanwhile(second, second.take())
    job_id = await first.submit()
    assert (await take)["id"] == job_id
    wait = await meanwhile(third, third.status(job_id, wait=60_000))
    assert (await second.done(job_id, b'{"output": 7}')).status == 200
    status = await wait
    assert (status["status"], status["output"]) == ("COMPLETED", 7)
    assert (await first.status(job_id))["output"] == 7


async def test_what_is_done_at_another_gateway_is_heard_and_not_looked_for(three: Sequence[Api]) -> None:
    """Twenty jobs in turn, each over three gateways, would take twenty seconds and more by looking every second."""
    first, second, third = three
    async with asyncio.timeout(15):
        for _ in range(20):
            take = await meanwhile(second, second.take())
            job_id = await first.submit()
            await take
            wait = await meanwhile(third, third.status(job_id, wait=60_000))
            await second.done(job_id, b'{"output": 7}')
            await wait


async def test_a_stop_order_reaches_its_worker_wherever_that_asks(three: Sequence[Api]) -> None:
    first, second, third = three
    job_id = await first.submit()
    await second.take("pod1")
    stops = await meanwhile(third, third.worker("GET", "/v1/ep/job-stop/pod1"))
    assert (await first.client("POST", f"/v1/ep/cancel/{job_id}")).json["status"] == "CANCELLED"
    assert (await stops).json["jobsToStop"] == [job_id]


async def test_each_of_many_jobs_is_taken_once(three: Sequence[Api]) -> None:
    ids = await asyncio.gather(*(three[number % 3].submit() for number in range(60)))

    async def work(api: Api, worker: str) -> list[str]:
        taken = []
        while (reply := await api.worker("GET", f"/v1/ep/job-take-batch/{worker}?batch_size=2")).status == 200:
            for job in reply.json:
                taken.append(job["id"])
                await api.done(job["id"], b'{"output": 1}', worker)
            if len(done) + len(taken) >= len(ids):
                break
        return taken

    done: list[str] = []
    workers = [asyncio.ensure_future(work(three[number % 3], f"pod{number}")) for number in range(6)]
    finals = await asyncio.gather(*(three[1].status(job_id, wait=60_000) for job_id in ids))
    assert Counter(status["status"] for status in finals) == {"COMPLETED": 60}
    assert {status["retries"] for status in finals} == {0}
    for worker in workers:
        worker.cancel()
    await asyncio.wait(workers)


async def test_one_key_makes_one_job_though_every_gateway_gets_it(three: Sequence[Api]) -> None:
    submits = (api.submit(Idempotency_Key="k") for api in list(three) * 5)
    assert len(set(await asyncio.gather(*submits))) == 1
    health = (await three[0].client("GET", "/v1/ep/health")).json
    assert health["jobs"]["inQueue"] == 1


async def test_batches_with_the_same_keys_in_opposite_order_wait_for_no_one_in_a_circle(three: Sequence[Api]) -> None:
    keys = [f"key{number}" for number in range(40)]
    for _ in range(5):
        submits = [
            api.submit(endpoint="ep", Idempotency_Key=key)
            for api, order in zip(three, (keys, keys[::-1], keys[20:] + keys[:20]), strict=True)
            for key in order
        ]
        ids = await asyncio.gather(*submits)
        assert len(set(ids)) == 40


async def test_a_stream_is_written_at_one_and_read_at_another(three: Sequence[Api]) -> None:
    first, second, third = three
    job_id = await first.submit()
    await second.take()
    read = await meanwhile(third, third.client("GET", f"/v1/ep/stream/{job_id}?wait=60000&cursor=0"))
    await first.worker("POST", f"/v1/ep/job-stream/pod1/{job_id}", b'{"output": "a"}')
    assert [chunk["output"] for chunk in (await read).json["stream"]] == ["a"]


async def test_gateways_count_alike(three: Sequence[Api]) -> None:
    await asyncio.gather(*(api.submit(endpoint=f"ep{number}") for number, api in enumerate(three)))
    await three[0].take("pod1", "ep1")
    counts = [
        [
            line
            for line in (await api.client("GET", "/metrics")).body.decode().splitlines()
            if "_jobs{" in line or "_workers{" in line
        ]
        for api in three
    ]
    assert counts[0] == counts[1] == counts[2]
    assert 'novita_gateway_jobs{endpoint="ep1",state="in_progress"} 1' in counts[2]


async def test_a_gateway_that_leaves_takes_nothing_with_it(gateways: Gateways, connect: Connect) -> None:
    stays = await connect(gateways(waits=WAITS))
    async with gateways(waits=WAITS) as gateway:
        leaves = Api(gateway, stays.session)
        job_id = await leaves.submit()
        assert (await leaves.take())["id"] == job_id
    assert (await stays.done(job_id, b'{"output": 1}')).status == 200
    assert (await stays.status(job_id))["status"] == "COMPLETED"


async def test_a_webhook_is_called_by_one_gateway(gateways: Gateways, connect: Connect) -> None:
    """Of twenty jobs that end at three gateways at once, each is announced once."""
    called: Counter[str] = Counter()
    is_done = asyncio.Event()

    async def receive(request: web.BaseRequest) -> web.Response:
        called[(await request.json())["id"]] += 1
        if len(called) == 20:
            is_done.set()
        return web.Response()

    receiver = await asyncio.get_running_loop().create_server(web.Server(receive), "127.0.0.1", 0)
    url = f"http://127.0.0.1:{receiver.sockets[0].getsockname()[1]}/"
    apis = [await connect(gateways(waits=WAITS, webhooks=True)) for _ in range(3)]
    body = json.dumps({"input": 1, "webhook": url}).encode()
    ids = [await apis[number % 3].submit(body) for number in range(20)]
    taken = (await apis[0].worker("GET", "/v1/ep/job-take-batch/pod1?batch_size=20")).json
    await asyncio.gather(*(apis[n % 3].done(job["id"], b'{"output": 1}') for n, job in enumerate(taken)))
    async with asyncio.timeout(DEADLINE):
        await is_done.wait()
    assert called == Counter(ids)
    receiver.close()
