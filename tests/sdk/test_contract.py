"""What both clients do against a real gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

import novita_sdk
from novita_sdk import errors

Meanwhile = Callable[[Callable[[], object]], None]


def test_a_job_goes_from_submit_to_output(endpoint: Any, worker: Any, meanwhile: Meanwhile) -> None:
    sent = {
        "prompt": "ein Äpfel ☃",
        "seed": 2**64 + 1,
        "steps": 10,
        "cfg": 7.0,
        "nothing": None,
        "empty": {},
        "z": 1,
        "a": 2,
    }

    def work() -> None:
        job = worker.take()
        worker.finish(job["id"], output=job["input"])

    meanwhile(work)
    job = endpoint.run(sent)
    received = job.output(timeout=10)
    assert json.dumps(received) == json.dumps(sent)
    assert job.status() == "COMPLETED"


def test_an_object_with_an_input_is_sent_whole(endpoint: Any, worker: Any) -> None:
    endpoint.run({"input": {"a": 1}, "policy": {"lowPriority": True}, "mine": [1.0]})
    job = worker.take()
    assert (job["input"], job["policy"], job["mine"]) == ({"a": 1}, {"lowPriority": True}, [1.0])


@pytest.mark.parametrize("value", [None, 0, "text with input", [1, 2], {}, {"a": {"input": 1}}])
def test_any_other_value_becomes_the_input(endpoint: Any, worker: Any, value: object) -> None:
    endpoint.run(value)
    assert worker.take()["input"] == value


def test_policy_and_bucket_go_beside_the_input(endpoint: Any, worker: Any) -> None:
    endpoint.run({"a": 1}, policy={"executionTimeout": 60_000}, s3_config={"bucketName": "b"})
    job = worker.take()
    assert (job["input"], job["policy"], job["s3Config"]) == (
        {"a": 1},
        {"executionTimeout": 60_000},
        {"bucketName": "b"},
    )


def test_output_without_timeout_returns_what_there_is(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({})
    assert job.output() is None
    job_id = worker.take()["id"]
    worker.report(job_id, {"step": 3})
    assert job.output() == {"step": 3}
    worker.finish(job_id, output="done")
    assert job.output() == "done"


def test_an_empty_output_is_an_output(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({})
    worker.finish(worker.take()["id"], output=None)
    assert job.output(timeout=5) is None
    assert job.status() == "COMPLETED"


def test_a_failed_job_raises_with_the_workers_error(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({})
    error = {
        "error_type": "<class 'ValueError'>",
        "error_message": "no such model",
        "error_traceback": "Traceback …\nx",
    }
    worker.finish(worker.take()["id"], error=json.dumps(error))
    for timeout in (0, 5):
        with pytest.raises(errors.JobFailedError, match="ValueError: no such model") as raised:
            job.output(timeout=timeout)
    assert raised.value.job_id == job.job_id
    assert raised.value.remote_type == "ValueError"
    assert raised.value.remote_message == "no such model"
    assert raised.value.remote_traceback == "Traceback …\nx"
    assert job.wait(timeout=5).status == "FAILED"
    assert job.status() == "FAILED"


def test_a_cancelled_job_raises(endpoint: Any) -> None:
    job = endpoint.run({})
    assert job.cancel()["status"] == "CANCELLED"
    with pytest.raises(errors.JobCancelledError, match=job.job_id):
        job.output(timeout=5)


def test_a_job_over_its_time_limit_raises(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({}, policy={"ttl": 50})
    with pytest.raises(errors.JobTimedOutError, match="time limit"):
        job.output(timeout=10)


def test_a_wait_that_ends_early_names_the_job_and_leaves_it_usable(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({})
    with pytest.raises(errors.WaitTimeoutError, match=f"re-attach with endpoint.job\\('{job.job_id}'\\)") as raised:
        job.output(timeout=0.2)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.job_id == job.job_id
    worker.finish(worker.take()["id"], output=1)
    assert job.output(timeout=5) == 1


def test_a_job_is_found_again_by_its_id_and_by_its_text(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({})
    worker.finish(worker.take()["id"], output=1)
    assert endpoint.job(job.job_id).output(timeout=5) == 1
    text = job.to_string()
    assert "test-key" not in text
    assert json.loads(text)["job_id"] == job.job_id


def test_health_and_purge_answer_in_the_gateways_words(endpoint: Any) -> None:
    endpoint.run({})
    endpoint.run({})
    assert endpoint.health()["jobs"]["inQueue"] == 2
    assert endpoint.purge_queue()["removed"] == 2
    assert endpoint.health(timeout=1)["jobs"]["inQueue"] == 0


def test_updates_tell_every_step_and_end(endpoint: Any, worker: Any) -> None:
    job = endpoint.run({})
    updates = job.updates(timeout=10)
    assert next(updates).status in {"PENDING", "IN_QUEUE"}
    job_id = worker.take()["id"]
    assert next(updates).status == "IN_PROGRESS"
    for step in range(3):
        worker.report(job_id, {"step": step})
        update = next(updates)
        assert (update.status, update.progress) == ("IN_PROGRESS", {"step": step})
    worker.finish(job_id, output="done")
    final = next(updates)
    assert (final.status, final.output, final.is_final, final.worker_id) == ("COMPLETED", "done", True, "hand-worker")
    assert final.delay_time is not None
    assert list(updates) == []
    assert [update.status for update in job.updates()] == ["COMPLETED"]


def test_a_repeated_key_returns_the_first_job(endpoint: Any) -> None:
    first = endpoint.run({"a": 1}, idempotency_key="order-17")
    assert endpoint.run({"a": 1}, idempotency_key="order-17").job_id == first.job_id
    assert endpoint.run({"a": 1}).job_id != first.job_id


def test_a_final_state_is_asked_for_once(endpoint: Any, gateway: Any, make_client: Any, worker: Any) -> None:
    urls: list[str] = []
    client = make_client(
        api_key=gateway.api_key, base_url=gateway.url, on_request=[lambda event: urls.append(event.url)]
    )
    job = client.endpoint(endpoint.endpoint_id).run({})
    worker.finish(worker.take()["id"], output=1)
    job.wait(timeout=5)
    before = len(urls)
    assert (job.status(), job.output(), job.output(timeout=3)) == ("COMPLETED", 1, 1)
    assert [update.status for update in job.updates()] == ["COMPLETED"]
    assert len(urls) == before


def test_a_wrong_key_is_an_authentication_error(gateway: Any, make_client: Any) -> None:
    with pytest.raises(errors.AuthenticationError, match="NOVITA_API_KEY") as raised:
        make_client(api_key="wrong-key", base_url=gateway.url).endpoint("x").run({})
    assert isinstance(raised.value, RuntimeError)
    assert isinstance(raised.value, requests.HTTPError)
    assert raised.value.response is not None
    assert raised.value.response.status_code == 401
    assert "wrong-key" not in str(raised.value)


def test_an_unknown_job_is_not_found(endpoint: Any) -> None:
    for call in (lambda job: job.status(), lambda job: job.output(timeout=5), lambda job: job.cancel()):
        with pytest.raises(errors.NotFoundError, match="check the job id") as raised:
            call(endpoint.job("no-such-job"))
        assert raised.value.job_id == "no-such-job"
        assert raised.value.code == "JOB_NOT_FOUND"


def test_hooks_see_requests_and_answers_but_no_key(gateway: Any, make_client: Any) -> None:
    seen: list[Any] = []

    def add(event: novita_sdk.RequestEvent) -> None:
        event.headers["X-Mine"] = "yes"

    client = make_client(
        api_key=gateway.api_key, base_url=gateway.url, on_request=[add, seen.append], on_response=[seen.append]
    )
    client.endpoint("hooked").health()
    request, response = seen
    assert (request.verb, request.url) == ("GET", f"{gateway.url}/hooked/health")
    assert request.headers["User-Agent"].startswith("novita-gpus/")
    assert (response.status, response.request) == (200, request)
    assert response.elapsed > 0
    assert gateway.api_key not in repr(seen)


def test_a_session_of_ones_own_is_used_and_left_open(gateway: Any) -> None:
    with requests.Session() as session:
        session.headers["X-Mine"] = "yes"
        with novita_sdk.Client(api_key=gateway.api_key, base_url=gateway.url, session=session) as client:
            client.endpoint("own-session").health()
        assert session.get(f"{gateway.url}/x/health", headers={"Authorization": f"Bearer {gateway.api_key}"}).ok


async def test_an_async_session_of_ones_own_is_used_and_left_open(gateway: Any) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url, session=session) as client:
            await client.endpoint("own-session").health()
        assert not session.closed


def test_a_closed_client_opens_again(gateway: Any, make_client: Any) -> None:
    client = make_client(api_key=gateway.api_key, base_url=gateway.url)
    for _ in range(2):
        client.endpoint("again").health()
        client.close()
