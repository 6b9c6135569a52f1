"""The transcripts that were observed between the published packages and the platform, byte for byte on a socket.

`{job}` stands for the id of a job.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from novita_gateway import Gateway, Waits
from tests.support.gateway_api import Api, Connect, raw_connection

STORES = ("memory", "postgres")

WORKER = "Authorization: {token}\r\nAccept-Encoding: gzip, deflate\r\nUser-Agent: RunPod-Python-SDK/1.12.0\r\n"
GET = WORKER + "Content-Type: application/json\r\n"
POST = WORKER + "charset: utf-8\r\nX-Request-ID: {job}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
PING = "User-Agent: python-requests/2.32.3\r\nAccept: */*\r\nAuthorization: {token}\r\n"
CLIENT = "Authorization: Bearer {key}\r\nContent-Type: application/json\r\n"
DONE = "POST /v2/ep1/job-done/pod1/{job}?gpu=A+B&isStream="


async def send(api: Api, line: str, headers: str, body: str | None, **names: str) -> tuple[int, bytes]:
    """Writes one request as it stands, and reads the status and the body of its answer."""
    data = "" if body is None else body
    if body is not None or line.startswith("POST"):
        headers += f"Content-Length: {len(data.encode())}\r\n"
    names |= {"token": api.gateway.worker_token, "key": api.gateway.api_key}
    head = f"{line} HTTP/1.1\r\nHost: gateway\r\n{headers}Connection: close\r\n\r\n"
    for name, value in names.items():
        head = head.replace(f"{{{name}}}", value)
    async with raw_connection(api.gateway) as (reader, writer):
        writer.write(head.encode() + data.encode())
        reply = await reader.read()
    status, _, rest = reply.partition(b"\r\n")
    return int(status.split()[1]), rest.partition(b"\r\n\r\n")[2]


async def running_job(api: Api) -> str:
    job_id = await api.submit(endpoint="ep1")
    assert (await api.take(endpoint="ep1"))["id"] == job_id
    return job_id


@pytest.mark.parametrize("in_progress", [0, 1])
async def test_a_take(api: Api, in_progress: int) -> None:
    job_id = await api.submit(b'{"input": {"prompt": 1}}', endpoint="ep1")
    line = f"GET /v2/ep1/job-take/pod1?gpu=A+B&job_in_progress={in_progress}"
    status, body = await send(api, line, GET, None, job="j0")
    assert status == 200
    assert json.loads(body) == {"id": job_id, "input": {"prompt": 1}, "attempt": 1, "take": 1}


async def test_a_batch_take(api: Api) -> None:
    ids = [await api.submit(b'{"input": {"prompt": 1}}', endpoint="ep1") for _ in range(4)]
    line = "GET /v2/ep1/job-take-batch/pod1?gpu=A+B&batch_size=3&job_in_progress=0"
    status, body = await send(api, line, GET, None, job="j0")
    assert status == 200
    assert [(job["id"], job["input"]) for job in json.loads(body)] == [(job_id, {"prompt": 1}) for job_id in ids[:3]]


async def test_a_stop(api: Api) -> None:
    job_id = await running_job(api)
    await api.client("POST", f"/v2/ep1/cancel/{job_id}")
    line = "GET /v2/ep1/job-stop/pod1?gpu=A+B"
    assert await send(api, line, GET, None) == (200, f'{{"jobsToStop":["{job_id}"]}}'.encode())


@pytest.mark.parametrize("line", ["GET /v2/ep1/job-stop/pod1?gpu=A+B", "GET /v2/ep1/job-take/pod1?gpu=A+B"])
async def test_nothing_to_tell_is_204(connect: Connect, line: str) -> None:
    api = await connect(Gateway(waits=Waits(take=1)))
    assert await send(api, line, GET, None, job="j0") == (204, b"")


@pytest.mark.parametrize("version", ["&runpod_version=1.12.0", ""])
@pytest.mark.parametrize("ids", ["&job_id=j2%2C{job}%2Cj3", ""])
async def test_a_ping(api: Api, ids: str, version: str) -> None:
    job_id = await running_job(api)
    status, _ = await send(api, f"GET /v2/ep1/ping/pod1?gpu=A+B{ids}{version}", PING, None, job=job_id)
    assert status == 200


@pytest.mark.parametrize(
    ("is_stream", "body", "status", "expected"),
    [
        ("false", '{"output": {"ok": true, "u": "é☃"}}', "COMPLETED", {"output": {"ok": True, "u": "é☃"}}),
        ("false", '{"status": "IN_PROGRESS", "output": {"p": 1}}', "IN_PROGRESS", {"output": {"p": 1}}),
        ("true", '{"output": []}', "COMPLETED", {"output": []}),
        (
            "true",
            '{"error": "handler: boom \\ntraceback: ..."}',
            "FAILED",
            {"error": "handler: boom \ntraceback: ..."},
        ),
        (
            "false",
            '{"output": {"keep": 1}, "error": "e1", "stopPod": true}',
            "FAILED",
            {"output": {"keep": 1}, "error": "e1"},
        ),
    ],
)
async def test_a_post(api: Api, is_stream: str, body: str, status: str, expected: dict[str, Any]) -> None:
    job_id = await running_job(api)
    code, _ = await send(api, DONE + is_stream, POST, body, job=job_id)
    assert code == 200
    known = await api.status(job_id, endpoint="ep1")
    assert known["status"] == status
    assert {name: known[name] for name in ("output", "error") if name in known} == expected


async def test_a_chunk(api: Api) -> None:
    job_id = await running_job(api)
    line = "POST /v2/ep1/job-stream/pod1/{job}?gpu=A+B&isStream=false"
    code, _ = await send(api, line, POST, '{"output": {"i": 0}}', job=job_id)
    assert code == 200
    assert (await api.client("GET", f"/v2/ep1/stream/{job_id}")).json["stream"] == [{"output": {"i": 0}}]


async def test_a_submit(api: Api) -> None:
    code, body = await send(api, "POST /v2/ep/run", CLIENT, '{"input": {"prompt": 1}}')
    assert code == 200
    assert json.loads(body)["status"] == "PENDING"
    assert (await api.take())["input"] == {"prompt": 1}


@pytest.mark.parametrize("call", ["cancel/{job}", "purge-queue"])
async def test_a_post_without_a_body(api: Api, call: str) -> None:
    job_id = await api.submit(endpoint="ep")
    code, _ = await send(api, f"POST /v2/ep/{call}", CLIENT, None, job=job_id)
    assert code == 200
    assert (await api.status(job_id))["status"] == "CANCELLED"
