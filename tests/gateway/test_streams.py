"""A stream over HTTP: chunks have numbers, readers have cursors, and whoever knows of neither goes on as before."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Gateway, Limits, ManualClock, MemoryStore, SQLiteStore, Store
from tests.support.gateway_api import Api, Connect, Reply

STORES = ("memory", "postgres")

LIMITS = Limits(lease=1000, max_attempts=3, retention=100_000)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, clock: ManualClock, tmp_path: Path) -> Store:
    if request.param == "memory":
        return MemoryStore(limits=LIMITS, clock=clock)
    return SQLiteStore(tmp_path / "jobs.db", limits=LIMITS, clock=clock)


@pytest.fixture
async def api(connect: Connect, store: Store) -> Api:
    return await connect(Gateway(store=store))


async def post(api: Api, job_id: str, body: str, worker: str = "pod1", **place: int) -> Reply:
    query = "".join(f"&{name}={value}" for name, value in place.items())
    path = f"/v1/ep/job-stream/{worker}/{job_id}?isStream=false{query}"
    return await api.worker("POST", path, b'{"output": %s}' % body.encode())


async def read(api: Api, job_id: str, cursor: str | None = None, wait: int = 0) -> Any:
    query = f"?wait={wait}" + ("" if cursor is None else f"&cursor={cursor}")
    reply = await api.client("GET", f"/v1/ep/stream/{job_id}{query}")
    assert reply.status == 200, reply.body
    return reply.json


def chunks(page: Any) -> list[object]:
    return [chunk["output"] for chunk in page["stream"]]


async def taken(api: Api) -> tuple[str, int]:
    await api.submit()
    job = await api.take()
    return job["id"], job["take"]


async def test_each_reader_follows_a_stream_from_its_start_and_can_ask_again(api: Api) -> None:
    job_id, take = await taken(api)
    await post(api, job_id, "0", take=take, number=0)
    await post(api, job_id, "1", take=take, number=1)
    first = await read(api, job_id, "0")
    assert (chunks(first), first["first"]) == ([0, 1], 0)
    await post(api, job_id, "2", take=take, number=2)
    for _ in range(2):  # the answer to the first of them was lost
        second = await read(api, job_id, first["nextCursor"])
        assert (chunks(second), second["first"]) == ([2], 2)
    await api.done(job_id, b'{"output": []}')
    assert chunks(await read(api, job_id, "0")) == [0, 1, 2]
    end = await read(api, job_id, second["nextCursor"])
    assert (end["status"], chunks(end), end["first"]) == ("COMPLETED", [], 3)
    assert end["nextCursor"] == second["nextCursor"]


async def test_a_reader_without_a_cursor_gets_what_came_since_its_last_call(api: Api) -> None:
    job_id, take = await taken(api)
    await post(api, job_id, "0", take=take, number=0)
    assert chunks(await read(api, job_id, "0")) == [0]
    page = await read(api, job_id)
    assert chunks(page) == [0]
    assert page.keys() == {"id", "status", "stream"}, "published clients get what they always got"
    await post(api, job_id, "1", take=take, number=1)
    assert chunks(await read(api, job_id)) == [1]
    assert chunks(await read(api, job_id)) == []
    assert chunks(await read(api, job_id, "0")) == [0, 1]


async def test_a_chunk_that_is_posted_again_is_there_once(api: Api) -> None:
    job_id, take = await taken(api)
    for number in (0, 0, 1, 0, 1):
        assert (await post(api, job_id, str(number), take=take, number=number)).status == 200
    assert chunks(await read(api, job_id)) == [0, 1]


async def test_a_worker_without_numbers_appends(api: Api) -> None:
    job_id, _ = await taken(api)
    for _ in range(2):
        assert (await post(api, job_id, "7")).status == 200
    assert chunks(await read(api, job_id, "0")) == [7, 7]


async def test_a_chunk_after_a_hole_is_refused_and_says_so(api: Api) -> None:
    job_id, take = await taken(api)
    await post(api, job_id, "0", take=take, number=0)
    reply = await post(api, job_id, "2", take=take, number=2)
    assert (reply.status, reply.json["code"], reply.json["jobId"]) == (409, "CHUNK_MISSING", job_id)
    assert "chunk 2" in reply.json["message"]
    assert (await post(api, job_id, "2", worker="other", take=take, number=2)).status == 200, "as any late chunk"
    assert chunks(await read(api, job_id)) == [0]


async def test_another_take_begins_the_stream_anew_and_late_posts_of_the_one_before_change_nothing(
    api: Api, clock: ManualClock
) -> None:
    job_id, take = await taken(api)
    for number in range(3):
        await post(api, job_id, f'"a{number}"', take=take, number=number)
    reader = (await read(api, job_id, "0"))["nextCursor"]
    parked = asyncio.ensure_future(read(api, job_id, reader, wait=60_000))
    await asyncio.sleep(0.05)
    clock.advance(1.5)
    page = await asyncio.wait_for(parked, 60)
    assert (page["status"], page["first"], chunks(page)) == ("PENDING", 0, [])
    again = await api.take()  # the same worker
    assert (again["id"], again["attempt"], again["take"]) == (job_id, 2, take + 1)
    assert (await post(api, job_id, '"late"', take=take, number=0)).status == 200
    late = await api.worker("POST", f"/v1/ep/job-done/pod1/{job_id}?isStream=true&take={take}", b'{"output": "late"}')
    assert late.status == 200
    await post(api, job_id, '"b0"', take=take + 1, number=0)
    page = await read(api, job_id, reader)
    assert (page["status"], page["first"], chunks(page)) == ("IN_PROGRESS", 0, ["b0"])
    assert chunks(await read(api, job_id, page["nextCursor"])) == []


async def test_a_retried_job_is_of_another_take_though_its_attempts_begin_anew(api: Api) -> None:
    job_id, take = await taken(api)
    await post(api, job_id, '"a"', take=take, number=0)
    await api.done(job_id, b'{"error": "once"}')
    await api.client("POST", f"/v1/ep/retry/{job_id}")
    again = await api.take()
    assert (again["attempt"], again["take"]) == (1, take + 1)
    await post(api, job_id, '"late"', take=take, number=0)
    await post(api, job_id, '"b"', take=take + 1, number=0)
    assert chunks(await read(api, job_id, "0")) == ["b"]


async def test_a_parked_reader_is_answered_by_the_next_chunk(api: Api) -> None:
    job_id, take = await taken(api)
    readers = [asyncio.ensure_future(read(api, job_id, "0", wait=60_000)) for _ in range(3)]
    readers.append(asyncio.ensure_future(read(api, job_id, wait=60_000)))
    await asyncio.sleep(0.05)
    await post(api, job_id, "1", take=take, number=0)
    assert [chunks(page) for page in await asyncio.wait_for(asyncio.gather(*readers), 60)] == [[1]] * 4


async def test_a_long_stream_comes_in_pages_that_fit(api: Api) -> None:
    job_id, take = await taken(api)
    for number in range(9):
        await post(api, job_id, f'"{number}{"x" * 1_000_000}"', take=take, number=number)
    await api.done(job_id, b'{"output": []}')
    for _ in range(2):
        cursor, found, pages = "0", "", 0
        while True:
            page = await read(api, job_id, cursor)
            assert page["first"] == len(found)
            if not page["stream"]:
                break
            found += "".join(str(chunk)[0] for chunk in chunks(page))
            cursor, pages = page["nextCursor"], pages + 1
        assert (found, pages) == ("012345678", 3)


async def test_chunks_are_there_until_the_job_is_forgotten(api: Api, clock: ManualClock) -> None:
    job_id, take = await taken(api)
    await post(api, job_id, "1", take=take, number=0)
    await api.done(job_id, b'{"output": []}')
    clock.advance(99)
    assert chunks(await read(api, job_id, "0")) == [1]
    clock.advance(2)
    assert (await api.client("GET", f"/v1/ep/stream/{job_id}?cursor=0")).status == 404


async def test_a_restart_of_the_gateway_keeps_places_and_chunks(connect: Connect, tmp_path: Path) -> None:
    first, second = (Gateway(store=SQLiteStore(tmp_path / "jobs.db"), api_key="k", worker_token="w") for _ in range(2))
    async with first:
        api = Api(first, (await connect(Gateway())).session)
        job_id, take = await taken(api)
        await post(api, job_id, "0", take=take, number=0)
        cursor = (await read(api, job_id, "0"))["nextCursor"]
    api = await connect(second)
    await post(api, job_id, "0", take=take, number=0)  # its acknowledgement was lost with the gateway
    await post(api, job_id, "1", take=take, number=1)
    assert chunks(await read(api, job_id, cursor)) == [1]
    assert chunks(await read(api, job_id, "0")) == [0, 1]


@pytest.mark.parametrize("cursor", ["", "1", "-1", "1-", "x", "1-2-3", "1-%D9%A1", "9" * 40, "00"])
async def test_a_cursor_of_nowhere_is_refused(api: Api, cursor: str) -> None:
    job_id, _ = await taken(api)
    reply = await api.client("GET", f"/v1/ep/stream/{job_id}?cursor={cursor}")
    assert (reply.status, reply.json["code"]) == (400, "BAD_REQUEST")
    assert "cursor" in reply.json["message"]


@pytest.mark.parametrize("place", [{"number": -1}, {"number": "x"}, {"take": "x"}, {"take": 1 << 40}])
async def test_a_place_that_is_none_is_refused(api: Api, place: dict[str, Any]) -> None:
    job_id, _ = await taken(api)
    reply = await post(api, job_id, "1", **place)
    assert (reply.status, reply.json["code"]) == (400, "BAD_REQUEST")
    assert chunks(await read(api, job_id)) == []
