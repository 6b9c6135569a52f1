"""One key, one job: what counts as the same submit, and what becomes of another one."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from novita_gateway import Gateway, SQLiteStore, serve_in_thread
from novita_sdk import AsyncClient, Client, errors
from tests.support.gateway_api import Api, Connect

STORES = ("memory", "postgres")

FILE = {"name": "in.png", "mediaType": "image/png", "size": 3, "sha256": "a" * 64}


def link(signature: str) -> str:
    return f"http://127.0.0.1:1/v1/blobs/{'a' * 64}?signature={signature}"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"input": {"a": 1, "b": [1.5, "é"]}}', '{"input":{"b":[1.5,"\\u00e9"],"a":1}}'),
        (f'{{"input": {"[" * 499}{"]" * 499}}}', f'{{"input": {"[ " * 499}{"]" * 499}}}'),
        ('{"input": ' + '{"a": ' * 499 + "1" + "}" * 500, '{"input": ' + '{"a":' * 499 + "1" + "}" * 500),
        ('{"input": 1, "traceparent": "00-1"}', '{"input": 1, "traceparent": "00-2"}'),
        ('{"input": 1, "s3Config": {"secret": "old"}}', '{"input": 1, "s3Config": {"secret": "new"}}'),
        ('{"input": 1, "policy": {"ttl": 20000}}', '{"policy": {"ttl": 20000.0}, "input": 1}'),
        (
            json.dumps({"input": {"images": [{**FILE, "url": link("1")}]}}),
            json.dumps({"input": {"images": [{"url": link("2"), **FILE}]}}),
        ),
    ],
)
async def test_a_repeated_submit_is_known_by_what_it_asks_for(api: Api, first: str, second: str) -> None:
    job_id = await api.submit(first.encode(), Idempotency_Key="k")
    reply = await api.client("POST", "/v1/ep/run", second.encode(), Idempotency_Key="k")
    assert (reply.status, reply.json["id"]) == (200, job_id)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ('{"input": 1}', '{"input": 2}'),
        ('{"input": 1}', '{"input": 1.0}'),
        ('{"input": 1}', '{"input": true}'),
        ('{"input": "é"}', '{"input": "e\u0301"}'),
        ('{"input": 1}', '{"input": 1, "policy": {"ttl": 20000}}'),
        ('{"input": 1}', '{"input": 1, "webhook": "https://example.com/"}'),
        ('{"input": {"url": "http://a.example/"}}', '{"input": {"url": "http://b.example/"}}'),
        (
            json.dumps({"input": {**FILE, "url": link("1")}}),
            json.dumps({"input": {**FILE, "sha256": "b" * 64, "url": link("1")}}),
        ),
        (f'{{"input": {"[" * 490}{"]" * 490}}}', f'{{"input": {"[" * 491}{"]" * 491}}}'),
    ],
)
@pytest.mark.parametrize("route", ["run", "runsync?wait=1"])
async def test_a_key_that_comes_with_another_request_is_refused(api: Api, route: str, first: str, second: str) -> None:
    job_id = await api.submit(first.encode(), Idempotency_Key="k")
    reply = await api.client("POST", f"/v1/ep/{route}", second.encode(), Idempotency_Key="k")
    assert (reply.status, reply.json["code"], reply.json["jobId"]) == (422, "IDEMPOTENCY_KEY_REUSED", job_id)
    assert "'k'" in reply.json["message"]
    assert job_id in reply.json["message"]
    assert (await api.client("GET", "/v1/ep/health")).json["jobs"]["inQueue"] == 1
    again = await api.client("POST", "/v1/ep/run", first.encode(), Idempotency_Key="k")
    assert (again.status, again.json["id"]) == (200, job_id)


async def test_of_two_requests_with_one_key_at_once_one_is_refused(api: Api) -> None:
    replies = await asyncio.gather(
        *(api.client("POST", "/v1/ep/run", b'{"input": %d}' % (index % 2), Idempotency_Key="k") for index in range(20))
    )
    assert sorted(reply.status for reply in replies) == [200] * 10 + [422] * 10
    assert len({reply.json["id"] for reply in replies if reply.status == 200}) == 1


async def test_a_key_is_known_after_a_restart(connect: Connect, tmp_path: Path) -> None:
    async with (
        Gateway(store=SQLiteStore(tmp_path / "jobs.db"), api_key="k") as gateway,
        AsyncClient(api_key="k", base_url=gateway.url) as client,
    ):
        job = await client.endpoint("ep").run({"n": 1}, idempotency_key="once")
    api = await connect(Gateway(store=SQLiteStore(tmp_path / "jobs.db")))
    assert await api.submit(b'{"input": {"n": 1}}', Idempotency_Key="once") == job.job_id
    reply = await api.client("POST", "/v1/ep/run", b'{"input": {"n": 2}}', Idempotency_Key="once")
    assert reply.status == 422


def test_the_client_says_that_the_key_is_taken() -> None:
    with serve_in_thread() as gateway, Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        endpoint = client.endpoint("ep")
        job = endpoint.run({"n": 1}, idempotency_key="once")
        assert endpoint.run({"n": 1}, idempotency_key="once").job_id == job.job_id
        with pytest.raises(errors.InvalidInputError, match=f"belongs to job '{job.job_id}'") as caught:
            endpoint.run({"n": 2}, idempotency_key="once")
    assert (caught.value.code, caught.value.status) == ("IDEMPOTENCY_KEY_REUSED", 422)
    assert caught.value.job_id == job.job_id
    assert not caught.value.retryable
