"""A stream gives each chunk once and in order, also when the replies about it are lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from novita_sdk import AsyncClient, Endpoint
from novita_sdk.flows import stream
from novita_testing import Faults, embedded
from novita_worker.desk.outbox import NOWHERE, Outbox
from tests.support.waiting import DEADLINE, threads

COUNT = 40
WHOLE = list(range(COUNT))


def count(job: dict[str, Any]) -> Iterator[int]:
    for number in range(COUNT):
        time.sleep(job["input"]["pause"])
        yield number


def lossy(*methods: str) -> Faults:
    """The first two replies are lost, and many more."""
    return Faults(seed=7, lost_reply=0.3, methods=set(methods))


EVERY = ["ReadStream", "StreamJob", "FinishJob", "GetStatus"]


@pytest.mark.parametrize("methods", [["ReadStream"], ["StreamJob"], EVERY], ids="+".join)
def test_lost_replies_lose_and_double_no_chunk(methods: list[str]) -> None:
    with embedded(count, faults=lossy(*methods), return_aggregate_stream=True) as endpoint:
        job = endpoint.run({"pause": 0.01})
        assert list(job.stream(timeout=DEADLINE)) == WHOLE
        assert job.output(timeout=DEADLINE) == WHOLE
        assert list(job.stream(timeout=DEADLINE)) == WHOLE, "the stream can be read again"


def test_two_readers_and_one_that_comes_back_get_the_whole_stream_each() -> None:
    found: list[list[object]] = []
    with embedded(count, faults=lossy("ReadStream", "StreamJob")) as endpoint:
        job = endpoint.run({"pause": 0.01})
        with threads() as meanwhile:
            for _ in range(2):
                meanwhile(lambda: found.append(list(endpoint.job(job.job_id).stream(timeout=DEADLINE))))
            broken_off = job.stream(timeout=DEADLINE)
            assert [next(broken_off) for _ in range(5)] == WHOLE[:5]
            del broken_off
            assert list(endpoint.job(job.job_id).stream(timeout=DEADLINE)) == WHOLE
    assert found == [WHOLE, WHOLE]


def test_the_async_client_gets_it_too() -> None:
    async def read(endpoint: Endpoint) -> None:
        settings = endpoint._client._settings
        async with AsyncClient(api_key=settings.api_key, base_url=settings.base_url) as client:
            job = await client.endpoint(endpoint.endpoint_id).run({"pause": 0.01})

            async def whole() -> list[object]:
                return [chunk async for chunk in job.stream(timeout=DEADLINE)]

            first, second = await asyncio.gather(whole(), whole())
            assert first == second == WHOLE

    with embedded(count, faults=lossy("ReadStream", "StreamJob")) as endpoint:
        asyncio.run(read(endpoint))


def test_without_cursors_a_lost_reply_loses_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "_START", None)
    with embedded(count, faults=lossy("ReadStream")) as endpoint:
        assert set(endpoint.run({"pause": 0.01}).stream(timeout=DEADLINE)) < set(WHOLE)


def test_without_numbers_a_lost_reply_doubles_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Outbox, "_place", lambda *_: NOWHERE)
    with embedded(count, faults=lossy("StreamJob")) as endpoint:
        found = list(endpoint.run({"pause": 0.01}).stream(timeout=DEADLINE))
    assert set(found) == set(WHOLE)
    assert len(found) > COUNT
