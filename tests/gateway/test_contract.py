"""What was observed on the wire, sent to the gateway byte for byte."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.gateway_api import Api

STORES = ("memory", "postgres")

POST_HEADERS = {"Content_Type": "application/x-www-form-urlencoded", "charset": "utf-8", "X_Request_ID": "j1"}


async def running_job(api: Api) -> str:
    job_id = await api.submit()
    assert (await api.take())["id"] == job_id
    return job_id


@pytest.mark.parametrize(
    "query", ["?gpu=A+B&job_in_progress=0", "?gpu=A+B&job_in_progress=1", "", "&job_in_progress=0"]
)
async def test_a_take_gets_the_job_with_its_input_untouched(api: Api, query: str) -> None:
    body = b'{"input": {"seed": 1125899906842624123, "steps": 10, "u": "\xc3\xa9", "n": null}, "s3Config": {"k": 1e2}}'
    job_id = await api.submit(body)
    if query.startswith("&"):
        query = f"?{query}"  # a template that ends in its question mark
    reply = await api.worker("GET", f"/v2/ep/job-take/pod1{query}")
    assert reply.status == 200
    assert reply.headers["Content-Type"] == "application/json"
    raw_input = b'{"seed": 1125899906842624123, "steps": 10, "u": "\xc3\xa9", "n": null}'
    assert b'"input":' + raw_input in reply.body
    assert reply.json["id"] == job_id
    assert reply.json["s3Config"] == {"k": 100.0}


async def test_a_batch_take_gets_a_list(api: Api) -> None:
    ids = [await api.submit() for _ in range(4)]
    reply = await api.worker("GET", "/v2/ep/job-take-batch/pod1?gpu=A+B&batch_size=3&job_in_progress=0")
    assert [job["id"] for job in reply.json] == ids[:3]
    assert all("input" in job for job in reply.json)


async def test_a_ping_names_its_jobs_in_any_order_and_has_no_version_where_the_worker_sends_none(api: Api) -> None:
    for query in (
        "?gpu=A+B&job_id=j2%2Cj1%2Cj3&runpod_version=1.12.0",
        "?gpu=A+B",
        "?job_id=j1&status=unhealthy&check=c&reason=r",
    ):
        assert (await api.worker("GET", f"/v2/ep/ping/pod1{query}")).status == 200


@pytest.mark.parametrize(
    ("body", "is_stream", "expected"),
    [
        ('{"output": {"ok": true, "u": "é☃"}}', "false", {"status": "COMPLETED", "output": {"ok": True, "u": "é☃"}}),
        ('{"output": null}', "false", {"status": "COMPLETED", "output": None}),
        ("{}", "false", {"status": "COMPLETED", "output": {}}),
        ('{"output": []}', "true", {"status": "COMPLETED", "output": []}),
        ('{"output": [{"i": 0}, {"i": 1}]}', "true", {"status": "COMPLETED", "output": [{"i": 0}, {"i": 1}]}),
        (
            '{"error": "handler: boom \\ntraceback: ..."}',
            "true",
            {"status": "FAILED", "error": "handler: boom \ntraceback: ..."},
        ),
        (
            '{"output": {"keep": 1}, "error": "e1", "stopPod": true}',
            "false",
            {"status": "FAILED", "output": {"keep": 1}, "error": "e1"},
        ),
        (
            '{"error": "{\\"error_type\\": \\"<class \'ValueError\'>\\"}"}',
            "false",
            {"status": "FAILED", "error": '{"error_type": "<class \'ValueError\'>"}'},
        ),
        ('{"error": {"code": 7}}', "false", {"status": "FAILED", "error": {"code": 7}}),
        ('{"output": 1, "error": null}', "false", {"status": "COMPLETED", "output": 1}),
    ],
)
async def test_a_result_without_a_status_is_final(
    api: Api, body: str, is_stream: str, expected: dict[str, Any]
) -> None:
    job_id = await running_job(api)
    path = f"/v2/ep/job-done/pod1/{job_id}?gpu=A+B&isStream={is_stream}"
    assert (await api.worker("POST", path, body.encode(), **POST_HEADERS)).status == 200
    status = await api.status(job_id)
    assert {key: status.get(key) for key in ("status", "output", "error") if key in status} == expected
    assert status["workerId"] == "pod1"
    assert {"delayTime", "executionTime", "retries"} <= set(status)


async def test_a_result_with_a_status_is_progress(api: Api) -> None:
    job_id = await running_job(api)
    body = b'{"status": "IN_PROGRESS", "output": {"p": 1}}'
    path = f"/v2/ep/job-done/pod1/{job_id}?gpu=A+B&isStream=false"
    assert (await api.worker("POST", path, body, **POST_HEADERS)).status == 200
    assert (await api.status(job_id))["output"] == {"p": 1}
    assert (await api.status(job_id))["status"] == "IN_PROGRESS"


async def test_progress_after_the_result_changes_nothing(api: Api) -> None:
    job_id = await running_job(api)
    await api.done(job_id, b'{"output": "final"}')
    assert (await api.done(job_id, b'{"status": "IN_PROGRESS", "output": 1}')).status == 200
    assert (await api.done(job_id, b'{"output": "again"}')).status == 200
    assert (await api.status(job_id))["output"] == "final"


async def test_chunks_are_handed_out_once_in_order_and_the_stream_ends_with_the_job(api: Api) -> None:
    job_id = await running_job(api)
    for index in range(3):
        path = f"/v2/ep/job-stream/pod1/{job_id}?gpu=A+B&isStream=false"
        assert (await api.worker("POST", path, b'{"output": {"i": %d}}' % index, **POST_HEADERS)).status == 200
    page = (await api.client("GET", f"/v2/ep/stream/{job_id}")).json
    assert page["status"] == "IN_PROGRESS"
    assert page["stream"] == [{"output": {"i": index}} for index in range(3)]
    await api.done(job_id, b'{"output": []}')
    page = (await api.client("GET", f"/v2/ep/stream/{job_id}")).json
    assert (page["status"], page["stream"]) == ("COMPLETED", [])


async def test_chunks_that_are_many_come_in_several_replies(api: Api) -> None:
    job_id = await running_job(api)
    for index in range(5):
        body = b'{"output": "%d' % index + b"x" * 1_500_000 + b'"}'
        assert (await api.worker("POST", f"/v1/ep/job-stream/pod1/{job_id}", body)).status == 200
    await api.done(job_id, b'{"output": []}')
    pages = []
    while chunks := (await api.client("GET", f"/v1/ep/stream/{job_id}?wait=60000")).json["stream"]:
        pages.append("".join(chunk["output"][0] for chunk in chunks))
    assert pages == ["01", "23", "4"]


async def test_stop_orders_reach_the_worker_at_once(api: Api) -> None:
    job_id = await running_job(api)
    stop = asyncio.ensure_future(api.worker("GET", "/v2/ep/job-stop/pod1?gpu=A+B"))
    cancel = await api.client("POST", f"/v2/ep/cancel/{job_id}")
    assert cancel.json["status"] == "CANCELLED"
    assert (await stop).json == {"jobsToStop": [job_id]}
    assert (await api.done(job_id, b'{"output": "too late"}')).status == 200
    assert (await api.status(job_id)) == {**cancel.json}


async def test_a_submit_keeps_what_stands_beside_the_input(api: Api) -> None:
    await api.submit(b'{"input": {}, "policy": {"executionTimeout": 6000, "ttl": 20000}, "mine": [1, 2.50]}')
    job = await api.take()
    assert job["policy"] == {"executionTimeout": 6000, "ttl": 20000}
    assert job["mine"] == [1, 2.5]


async def test_health_counts_jobs_and_workers(api: Api) -> None:
    await running_job(api)
    await api.submit()
    await api.worker("GET", "/v1/ep/ping/pod2")
    assert (await api.client("GET", "/v1/ep/health")).json == {
        "jobs": {"completed": 0, "failed": 0, "inProgress": 1, "inQueue": 1, "retried": 0},
        "workers": {"idle": 1, "running": 1},
    }


async def test_purge_cancels_what_waits_and_leaves_what_runs(api: Api) -> None:
    running = await running_job(api)
    waiting = [await api.submit() for _ in range(2)]
    assert (await api.client("POST", "/v2/ep/purge-queue")).json == {"removed": 2, "status": "completed"}
    assert [(await api.status(job_id))["status"] for job_id in waiting] == ["CANCELLED"] * 2
    assert (await api.status(running))["status"] == "IN_PROGRESS"


async def test_a_failed_job_is_retried_under_its_id(api: Api) -> None:
    job_id = await running_job(api)
    await api.done(job_id, b'{"error": "e"}')
    assert (await api.client("POST", f"/v1/ep/retry/{job_id}")).json["status"] == "PENDING"
    assert "error" not in await api.status(job_id)
    job = await api.take()
    assert (job["id"], job["attempt"]) == (job_id, 1)
    await api.done(job_id, b'{"output": 1}')
    assert (await api.status(job_id))["retries"] == 1
    reply = await api.client("POST", f"/v1/ep/retry/{job_id}")
    assert (reply.status, reply.json["code"], reply.json["jobId"]) == (409, "NOT_RETRYABLE", job_id)


async def test_runsync_answers_with_the_result(api: Api) -> None:
    call = asyncio.ensure_future(api.client("POST", "/v2/ep/runsync?wait=10000", b'{"input": "x"}'))
    job = await api.take()
    await api.done(job["id"], b'{"output": "y"}')
    assert (await call).json["output"] == "y"


async def test_runsync_answers_with_the_state_when_its_wait_is_over(api: Api) -> None:
    reply = await api.client("POST", "/v2/ep/runsync?wait=1", b'{"input": "x"}')
    assert (reply.status, reply.json["status"]) == (200, "PENDING")


async def test_listing_pages_through_jobs_newest_first(api: Api) -> None:
    ids = [await api.submit() for _ in range(5)]
    await api.client("POST", f"/v1/ep/cancel/{ids[1]}")
    seen: list[str] = []
    query = "?limit=2"
    while True:
        page = (await api.client("GET", f"/v1/ep/requests{query}")).json
        seen += [job["id"] for job in page["jobs"]]
        if "nextCursor" not in page:
            break
        query = f"?limit=2&cursor={page['nextCursor']}"
    assert seen == ids[::-1]
    page = (await api.client("GET", "/v1/ep/requests?status=CANCELLED")).json
    assert [job["id"] for job in page["jobs"]] == [ids[1]]


async def test_every_reply_advertises_long_polling(api: Api) -> None:
    job_id = await api.submit()
    for reply in (
        await api.client("GET", f"/v1/ep/status/{job_id}"),
        await api.client("GET", "/v1/ep/status/unknown"),
        await api.call("GET", "/v1/ep/health"),
    ):
        assert int(reply.headers["Novita-Long-Poll"]) >= 1000


async def test_a_parked_status_is_answered_by_the_result(api: Api) -> None:
    job_id = await running_job(api)
    waiting = asyncio.ensure_future(api.status(job_id, wait=20_000))
    await asyncio.sleep(0)
    await api.done(job_id, json.dumps({"output": 5}).encode())
    assert (await waiting)["output"] == 5
