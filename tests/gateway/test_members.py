"""A job's members that are the gateway's: no submit can put others in their place."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from novita_gateway import Gateway, MemoryStore, SQLiteStore
from novita_sdk.models import Job, JobRequest, RunRequest
from novita_sdk.wire import codec
from tests.support.gateway_api import Api, Connect

BODY = b'{"input": 1, "id": "victim", "attempt": 7, "\\u0069d": "victim", "batchId": 5, "s3Config": {"a": 1}, "Id": 2}'


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    return MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "jobs.db")


def members(text: bytes) -> list[tuple[str, object]]:
    """The members of the job in the answer to a take, those that come twice twice."""
    pairs: list[tuple[str, object]] = json.loads(text, object_pairs_hook=list)
    return sorted(pairs, key=str)


@pytest.mark.parametrize("route", ["run", "runsync?wait=1"])
async def test_a_submit_can_not_name_the_members_that_the_gateway_gives(
    connect: Connect, store: Any, route: str, caplog: pytest.LogCaptureFixture
) -> None:
    api = await connect(Gateway(store=store))
    with caplog.at_level(logging.WARNING, "novita_gateway"):
        replies = [(await api.client("POST", f"/v1/ep/{route}", BODY)).json for _ in range(3)]
    (warning,) = [record for record in caplog.records if "victim" not in record.getMessage()]
    assert "'attempt' and 'id'" in warning.getMessage()
    ids = [reply["id"] for reply in replies]
    assert "victim" not in ids
    expected = [("Id", 2), ("attempt", 1), ("batchId", 5), ("input", 1), ("s3Config", [("a", 1)]), ("take", 1)]
    for take, job_id in (("job-take/w", ids[0]), ("job-take-batch/w?batch_size=1", ids[1])):
        taken = (await api.worker("GET", f"/v1/ep/{take}")).body
        assert members(taken.strip(b"[]")) == sorted([*expected, ("id", job_id)], key=str)
    assert (
        await api.done(ids[0], b'{"error": "x", "id": "victim", "attempt": 9, "revision": 99}', worker="w")
    ).status == 200
    assert (await api.client("POST", f"/v1/ep/retry/{ids[0]}")).json["id"] == ids[0]
    await api.take()
    assert {name for name, _ in members((await api.worker("GET", "/v1/ep/job-take/w")).body)} == {
        "Id",
        "attempt",
        "batchId",
        "id",
        "input",
        "s3Config",
        "take",
    }


async def test_a_job_of_an_older_gateway_has_one_id_too(connect: Connect, store: Any) -> None:
    api = await connect(Gateway(store=store))
    request = JobRequest(input=b"1", extra={"id": b'"victim"', "attempt": b"9", "more": b"2"})
    job = await store.submit(RunRequest(endpoint="ep", request=request))
    expected = sorted([("id", job.id), ("input", 1), ("attempt", 1), ("more", 2), ("take", 1)], key=str)
    assert members((await api.worker("GET", "/v1/ep/job-take/w")).body) == expected


def test_a_message_is_never_written_with_one_member_twice() -> None:
    job = Job(id="a", input=b"1", extra={"id": b'"b"', "webhook": b'"c"', "s3Config": b"{}", "x": b"3"})
    assert codec.encode(job) == b'{"id":"a","input":1,"x":3}'


async def test_what_a_worker_says_beside_its_result_does_not_become_the_jobs_state(api: Api) -> None:
    job_id = await api.submit()
    await api.take()
    said = b'{"output": 1, "id": "victim", "workerId": "other", "retries": 9, "revision": 99, "delayTime": -1}'
    assert (await api.done(job_id, said)).status == 200
    job = await api.status(job_id)
    assert (job["id"], job["workerId"], job["retries"], job["status"]) == (job_id, "pod1", 0, "COMPLETED")
    assert job["delayTime"] >= 0
