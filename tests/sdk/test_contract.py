"""What both clients do against a real gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import requests

import novita_sdk
from novita_gateway import Gateway
from novita_sdk import Endpoint, Job, errors
from tests.support.hand_worker import HandWorker
from tests.support.twin import ClientMaker

Meanwhile = Callable[[Callable[[], object]], None]


def test_a_job_goes_from_submit_to_output(endpoint: Endpoint, worker: HandWorker, meanwhile: Meanwhile) -> None:
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
    received = job.output(timeout=60)
    assert json.dumps(received) == json.dumps(sent)
    assert job.status() == "COMPLETED"


def test_an_object_with_an_input_is_sent_whole(endpoint: Endpoint, worker: HandWorker) -> None:
    endpoint.run({"input": {"a": 1}, "policy": {"lowPriority": True}, "mine": [1.0]})
    job = worker.take()
    assert (job["input"], job["policy"], job["mine"]) == ({"a": 1}, {"lowPriority": True}, [1.0])


@pytest.mark.parametrize("value", [None, 0, "text with input", [1, 2], {}, {"a": {"input": 1}}])
def test_any_other_value_becomes_the_input(endpoint: Endpoint, worker: HandWorker, value: object) -> None:
    endpoint.run(value)
    assert worker.take()["input"] == value


def test_policy_and_bucket_go_beside_the_input(endpoint: Endpoint, worker: HandWorker) -> None:
    endpoint.run({"a": 1}, policy={"executionTimeout": 60_000}, s3_config={"bucketName": "b"})
    job = worker.take()
    assert (job["input"], job["policy"], job["s3Config"]) == (
        {"a": 1},
        {"executionTimeout": 60_000},
        {"bucketName": "b"},
    )


def test_output_without_timeout_returns_what_there_is(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    assert job.output() is None
    job_id = worker.take()["id"]
    worker.report(job_id, {"step": 3})
    assert job.output() == {"step": 3}
    worker.finish(job_id, output="done")
    assert job.output() == "done"


def test_an_empty_output_is_an_output(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    worker.finish(worker.take()["id"], output=None)
    assert job.output(timeout=60) is None
    assert job.status() == "COMPLETED"


def test_a_failed_job_raises_with_the_workers_error(endpoint: Endpoint, worker: HandWorker) -> None:
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
    assert job.wait(timeout=60).status == "FAILED"
    assert job.status() == "FAILED"


def test_a_cancelled_job_raises(endpoint: Endpoint) -> None:
    job = endpoint.run({})
    assert job.cancel()["status"] == "CANCELLED"
    with pytest.raises(errors.JobCancelledError, match=job.job_id):
        job.output(timeout=60)


def test_a_job_over_its_time_limit_raises(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({}, policy={"ttl": 50})
    with pytest.raises(errors.JobTimedOutError, match="time limit"):
        job.output(timeout=60)


def test_a_wait_that_ends_early_names_the_job_and_leaves_it_usable(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    with pytest.raises(errors.WaitTimeoutError, match=f"re-attach with endpoint.job\\('{job.job_id}'\\)") as raised:
        job.output(timeout=0.2)
    assert isinstance(raised.value, TimeoutError)
    assert raised.value.job_id == job.job_id
    worker.finish(worker.take()["id"], output=1)
    assert job.output(timeout=60) == 1


def test_a_job_is_found_again_by_its_id_and_by_its_text(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    worker.finish(worker.take()["id"], output=1)
    assert endpoint.job(job.job_id).output(timeout=60) == 1
    text = job.to_string()
    assert "test-key" not in text
    assert json.loads(text)["job_id"] == job.job_id


def test_health_and_purge_answer_in_the_gateways_words(endpoint: Endpoint) -> None:
    endpoint.run({})
    endpoint.run({})
    assert endpoint.health()["jobs"]["inQueue"] == 2
    assert endpoint.purge_queue()["removed"] == 2
    assert endpoint.health(timeout=60)["jobs"]["inQueue"] == 0


def test_updates_tell_every_step_and_end(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    updates = job.updates(timeout=60)
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


def test_a_repeated_key_returns_the_first_job(endpoint: Endpoint) -> None:
    first = endpoint.run({"a": 1}, idempotency_key="order-17")
    assert endpoint.run({"a": 1}, idempotency_key="order-17").job_id == first.job_id
    assert endpoint.run({"a": 1}).job_id != first.job_id


def test_a_final_state_is_asked_for_once(
    endpoint: Endpoint, gateway: Gateway, make_client: ClientMaker, worker: HandWorker
) -> None:
    urls: list[str] = []
    client = make_client(
        api_key=gateway.api_key, base_url=gateway.url, on_request=[lambda event: urls.append(event.url)]
    )
    job = client.endpoint(endpoint.endpoint_id).run({})
    worker.finish(worker.take()["id"], output=1)
    job.wait(timeout=60)
    before = len(urls)
    assert (job.status(), job.output(), job.output(timeout=60)) == ("COMPLETED", 1, 1)
    assert [update.status for update in job.updates()] == ["COMPLETED"]
    assert len(urls) == before


def test_a_wrong_key_is_an_authentication_error(gateway: Gateway, make_client: ClientMaker) -> None:
    with pytest.raises(errors.AuthenticationError, match="NOVITA_API_KEY") as raised:
        make_client(api_key="wrong-key", base_url=gateway.url).endpoint("x").run({})
    assert isinstance(raised.value, RuntimeError)
    assert isinstance(raised.value, requests.HTTPError)
    assert raised.value.response is not None
    assert raised.value.response.status_code == 401
    assert "wrong-key" not in str(raised.value)


def test_an_unknown_job_is_not_found(endpoint: Endpoint) -> None:
    job = endpoint.job("no-such-job")
    for call in (job.status, partial(job.output, timeout=60), job.cancel):
        with pytest.raises(errors.NotFoundError, match="check the job id") as raised:
            call()
        assert raised.value.job_id == "no-such-job"
        assert raised.value.code == "JOB_NOT_FOUND"


def test_hooks_see_requests_and_answers_but_no_key(gateway: Gateway, make_client: ClientMaker) -> None:
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


def test_a_session_of_ones_own_is_used_and_left_open(gateway: Gateway) -> None:
    with requests.Session() as session:
        session.headers["X-Mine"] = "yes"
        with novita_sdk.Client(api_key=gateway.api_key, base_url=gateway.url, session=session) as client:
            client.endpoint("own-session").health()
        assert session.get(f"{gateway.url}/x/health", headers={"Authorization": f"Bearer {gateway.api_key}"}).ok


async def test_an_async_session_of_ones_own_is_used_and_left_open(gateway: Gateway) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        async with novita_sdk.AsyncClient(api_key=gateway.api_key, base_url=gateway.url, session=session) as client:
            await client.endpoint("own-session").health()
        assert not session.closed


def test_a_closed_client_opens_again(gateway: Gateway, make_client: ClientMaker) -> None:
    client = make_client(api_key=gateway.api_key, base_url=gateway.url)
    for _ in range(2):
        client.endpoint("again").health()
        client.close()


def test_run_sync_returns_the_output(endpoint: Endpoint, worker: HandWorker, meanwhile: Meanwhile) -> None:
    meanwhile(lambda: worker.finish(worker.take()["id"], output=[1, 2]))
    assert endpoint.run_sync({"a": 1}, timeout=60, policy={"lowPriority": True}) == [1, 2]


def test_run_sync_that_runs_out_leaves_the_job_running(endpoint: Endpoint, worker: HandWorker) -> None:
    with pytest.raises(errors.WaitTimeoutError) as raised:
        endpoint.run_sync({}, timeout=0.1)
    assert raised.value.job_id is not None
    worker.finish(worker.take()["id"], output=1)
    assert endpoint.job(raised.value.job_id).output(timeout=60) == 1


def test_run_sync_cancels_if_asked_to(endpoint: Endpoint) -> None:
    with pytest.raises(errors.WaitTimeoutError) as raised:
        endpoint.run_sync({}, timeout=0.1, cancel_on_timeout=True)
    assert raised.value.__notes__ == ["It was cancelled; its state is CANCELLED."]
    assert raised.value.job_id is not None
    assert endpoint.job(raised.value.job_id).status() == "CANCELLED"


def test_a_stream_yields_chunks_as_they_come(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    chunks = job.stream(timeout=60)
    job_id = worker.take()["id"]
    for chunk in ({"token": "a"}, None, [1]):
        worker.stream(job_id, chunk)
        assert next(chunks) == chunk
    worker.stream(job_id, "b", "c")
    worker.finish(job_id, output=[])
    assert list(chunks) == ["b", "c"]
    assert list(job.stream(timeout=60)) == [{"token": "a"}, None, [1], "b", "c"]


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda job, worker: worker.finish(job.job_id, error="boom"), errors.JobFailedError),
        (lambda job, worker: job.cancel(), errors.JobCancelledError),
    ],
)
def test_a_stream_ends_in_every_final_state(
    endpoint: Endpoint, worker: HandWorker, end: Callable[[Job, HandWorker], object], error: type[errors.JobError]
) -> None:
    job = endpoint.run({})
    worker.stream(worker.take()["id"], 1)
    chunks = job.stream(timeout=60)
    assert next(chunks) == 1
    end(job, worker)
    with pytest.raises(error, match=job.job_id):
        list(chunks)


def test_a_stream_that_runs_out_of_time_can_be_gone_on_with(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    with pytest.raises(errors.WaitTimeoutError):
        list(job.stream(timeout=0.1))
    job_id = worker.take()["id"]
    worker.stream(job_id, 1)
    worker.finish(job_id, output=[1])
    assert list(job.stream(timeout=60)) == [1]


def test_a_failed_job_can_be_queued_again(endpoint: Endpoint, worker: HandWorker) -> None:
    job = endpoint.run({})
    worker.finish(worker.take()["id"], error="boom")
    assert job.wait(timeout=60).status == "FAILED"
    job.retry()
    worker.finish(worker.take()["id"], output=1)
    assert job.output(timeout=60) == 1
    with pytest.raises(errors.ConflictError, match="FAILED"):
        job.retry()


def test_recent_jobs_are_listed_over_all_pages(endpoint: Endpoint) -> None:
    ids = [endpoint.run({}).job_id for _ in range(103)]
    endpoint.job(ids[50]).cancel()
    assert [info.job_id for info in endpoint.jobs()] == ids[::-1]
    assert [info.job_id for info in endpoint.jobs(status="CANCELLED")] == [ids[50]]


def test_the_stubs_call_through_both_clients(gateway: Gateway, make_client: ClientMaker) -> None:
    from novita_sdk import models
    from novita_sdk.rpc import JobsServiceMethods

    client = make_client(api_key=gateway.api_key, base_url=gateway.url)
    request = models.RunRequest(endpoint="stubs", request=models.JobRequest(input=b'{"a":1}'))
    job = client.call(JobsServiceMethods.RUN, request).job
    status = client.call(JobsServiceMethods.GET_STATUS, models.GetStatusRequest(endpoint="stubs", id=job.id))
    assert (status.job.id, status.job.status) == (job.id, job.status)
