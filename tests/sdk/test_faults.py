"""What the client does when the network or the gateway fails: a gateway that follows a script, on a real socket."""

from __future__ import annotations

import time

import pytest

from novita_sdk import Endpoint, errors
from tests.support.scripted_gateway import Answer, ScriptedGateway
from tests.support.twin import ClientMaker

OURS = {"Novita-Long-Poll": "60000"}
"""The header of a gateway that parks questions and recognises idempotency keys."""

RESET, HANG = Answer(fault="reset"), Answer(fault="hang")
TRUNCATED = Answer(fault="truncate", body={"id": "j", "status": "PENDING"})
BAD_GATEWAY, UNAVAILABLE, GARBAGE = Answer(status=502), Answer(status=503), Answer(body=b"<html>")


@pytest.fixture
def endpoint(request: pytest.FixtureRequest, scripted: ScriptedGateway, make_client: ClientMaker) -> Endpoint:
    """Patient with a gateway that answers: only where one hangs is a test to wait for the end of that."""
    hangs = HANG in request.node.callspec.params.values()
    return make_client(base_url=scripted.url, timeout=0.5 if hangs else 20.0, retry_budget=40.0).endpoint("x")


@pytest.mark.parametrize(
    "fault",
    [
        RESET,
        HANG,
        TRUNCATED,
        BAD_GATEWAY,
        UNAVAILABLE,
        Answer(status=429),
        Answer(status=500),
        Answer(status=408),
        GARBAGE,
    ],
)
def test_reads_are_repeated(scripted: ScriptedGateway, endpoint: Endpoint, fault: Answer) -> None:
    scripted.script("status", fault, fault, Answer(body={"id": "j", "status": "IN_QUEUE"}))
    assert endpoint.job("j").status() == "IN_QUEUE"
    assert len(scripted.calls("status")) >= 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 422])
def test_a_refusal_is_not_repeated(scripted: ScriptedGateway, endpoint: Endpoint, status: int) -> None:
    scripted.script("status", Answer(status=status))
    with pytest.raises(errors.APIError):
        endpoint.job("j").status()
    assert len(scripted.calls("status")) == 1


@pytest.mark.parametrize("fault", [RESET, HANG, TRUNCATED, BAD_GATEWAY, UNAVAILABLE, GARBAGE])
def test_a_submit_is_repeated_under_its_key_where_the_gateway_recognises_keys(
    scripted: ScriptedGateway, endpoint: Endpoint, fault: Answer
) -> None:
    scripted.script("run", fault, Answer(body={"id": "j", "status": "PENDING"}, headers=OURS))
    scripted.script("health", Answer(body={}, headers=OURS))
    assert endpoint.run({}).job_id == "j"
    keys = [request.headers["idempotency-key"] for request in scripted.calls("run")]
    assert len(keys) >= 2
    assert set(keys) == {keys[0]} != {""}
    assert len({request.headers["x-request-id"] for request in scripted.calls("run")}) == len(keys)


@pytest.mark.parametrize("fault", [RESET, HANG, TRUNCATED])
def test_a_submit_whose_answer_is_lost_is_not_repeated_elsewhere(
    scripted: ScriptedGateway, endpoint: Endpoint, fault: Answer
) -> None:
    scripted.script("run", fault)
    scripted.script("health", Answer(body={}))
    with pytest.raises(errors.SubmitUncertainError, match="may or may not be queued") as raised:
        endpoint.run({})
    (request,) = scripted.calls("run")
    assert raised.value.idempotency_key == request.headers["idempotency-key"]
    assert not raised.value.retryable


@pytest.mark.parametrize("fault", [RESET, UNAVAILABLE])
def test_a_key_of_the_callers_own_lets_a_submit_be_repeated_anywhere(
    scripted: ScriptedGateway, endpoint: Endpoint, fault: Answer
) -> None:
    scripted.script("run", fault, Answer(body={"id": "j", "status": "PENDING"}))
    assert endpoint.run({}, idempotency_key="mine").job_id == "j"
    assert [request.headers["idempotency-key"] for request in scripted.calls("run")] == ["mine", "mine"]


def test_a_submit_that_was_refused_for_its_rate_is_repeated_after_the_time_asked_for(
    scripted: ScriptedGateway, endpoint: Endpoint
) -> None:
    scripted.script(
        "run", Answer(status=429, headers={"Retry-After": "1"}), Answer(body={"id": "j", "status": "PENDING"})
    )
    assert endpoint.run({}).job_id == "j"
    first, second = scripted.calls("run")
    assert second.time - first.time >= 1.0


def test_a_rate_limit_beyond_the_budget_is_told_at_once(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("run", Answer(status=429, headers={"Retry-After": "60"}))
    begin = time.monotonic()
    with pytest.raises(errors.RateLimitError, match="asks for 60 s") as raised:
        endpoint.run({})
    assert time.monotonic() - begin < 30
    assert raised.value.retry_after == 60
    assert raised.value.retryable


def test_a_wait_survives_everything_that_may_pass(scripted: ScriptedGateway, make_client: ClientMaker) -> None:
    going_on = Answer(body={"id": "j", "status": "IN_PROGRESS"})
    scripted.script(
        "status",
        RESET,
        Answer(status=502, body=b"<html>Bad gateway</html>"),
        Answer(status=429, headers={"Retry-After": "0"}),
        going_on,
        TRUNCATED,
        Answer(body=b"garbage"),
        HANG,
        going_on,
        Answer(status=503),
        RESET,
        Answer(body={"id": "j", "status": "COMPLETED", "output": 7}),
    )
    job = make_client(base_url=scripted.url, timeout=0.5).endpoint("x").job("j")
    assert job.output(timeout=60) == 7


def test_a_wait_over_failures_ends_at_its_deadline_and_says_why(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("status", Answer(status=502))
    begin = time.monotonic()
    with pytest.raises(errors.WaitTimeoutError, match="could not be read") as raised:
        endpoint.job("j").output(timeout=1.5)
    assert time.monotonic() - begin >= 1.5
    assert isinstance(raised.value.__cause__, errors.ServerError)


def test_a_gateway_that_promises_to_park_and_does_not_is_not_hammered(
    scripted: ScriptedGateway, endpoint: Endpoint
) -> None:
    scripted.script("status", Answer(body={"id": "j", "status": "IN_PROGRESS"}, headers=OURS))
    scripted.script("stream", Answer(body={"status": "IN_PROGRESS", "stream": []}, headers=OURS))
    for route, wait in (
        ("status", lambda job: job.output(timeout=1.0)),
        ("stream", lambda job: list(job.stream(timeout=1.0))),
    ):
        with pytest.raises(errors.WaitTimeoutError):
            wait(endpoint.job("j"))
        assert len(scripted.calls(route)) < 25


def test_a_question_is_parked_where_the_gateway_offers_it(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}, headers={"Novita-Long-Poll": "700"}))
    scripted.script("status", Answer(body={"id": "j", "status": "COMPLETED"}, delay=0.6, headers=OURS))
    endpoint.run({}).wait(timeout=60)
    (question,) = scripted.calls("status")
    assert question.query == {"wait": "700"}


def test_a_question_is_not_parked_elsewhere(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script(
        "status", Answer(body={"id": "j", "status": "IN_QUEUE"}), Answer(body={"id": "j", "status": "COMPLETED"})
    )
    endpoint.run({}).wait(timeout=60)
    assert [question.query for question in scripted.calls("status")] == [{}, {}]


def test_the_wire_is_as_the_published_client_speaks_it(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script("cancel", Answer(body={"id": "j", "status": "CANCELLED"}))
    scripted.script("purge-queue", Answer(body={"removed": 0, "status": "completed"}))
    endpoint.run({"prompt": 1}).cancel()
    endpoint.purge_queue()
    run, cancel, purge = scripted.seen
    assert (run.verb, run.path, run.body) == ("POST", "/v1/x/run", b'{"input":{"prompt":1}}')
    assert (run.headers["authorization"], run.headers["content-type"]) == ("Bearer test-key", "application/json")
    assert (cancel.verb, cancel.path, cancel.body) == ("POST", "/v1/x/cancel/j", b"")
    assert (purge.verb, purge.path, purge.body) == ("POST", "/v1/x/purge-queue", b"")
    assert cancel.headers["content-length"] == purge.headers["content-length"] == "0"


def test_a_gateway_without_streams_has_the_chunks_at_the_end(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script("stream", Answer(status=404))
    scripted.script(
        "status",
        Answer(body={"id": "j", "status": "IN_PROGRESS"}),
        Answer(body={"id": "j", "status": "COMPLETED", "output": [1, 2]}),
    )
    assert list(endpoint.job("j").stream(timeout=60)) == [1, 2]


def test_a_stream_survives_what_may_pass(scripted: ScriptedGateway, endpoint: Endpoint) -> None:
    scripted.script(
        "stream",
        Answer(body={"status": "IN_PROGRESS", "stream": [{"output": 1}]}),
        RESET,
        Answer(status=502),
        Answer(body={"status": "IN_PROGRESS"}),
        Answer(body={"status": "COMPLETED", "stream": [{"output": 2}]}),
        Answer(body={"status": "COMPLETED", "stream": []}),
    )
    assert list(endpoint.job("j").stream(timeout=60)) == [1, 2]


def test_a_refusal_is_not_logged_as_a_wait_that_goes_on(
    scripted: ScriptedGateway, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    scripted.script("status", Answer(status=404))
    with pytest.raises(errors.NotFoundError):
        endpoint.job("j").output(timeout=60)
    assert "the wait goes on" not in caplog.text


def test_a_call_that_is_tried_again_says_so_in_the_log(
    scripted: ScriptedGateway, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "novita_sdk")
    scripted.script("health", Answer(status=503), Answer(status=502), Answer(body={}))
    endpoint.health()
    (record,) = [record for record in caplog.records if record.name == "novita_sdk"]
    assert record.getMessage().startswith("could not read the health of endpoint x (HTTP 503); trying again in 0.")


def test_the_log_tells_of_trouble_once_and_holds_neither_key_nor_payload(
    scripted: ScriptedGateway, endpoint: Endpoint, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "novita_sdk")
    scripted.script("run", Answer(body={"id": "j", "status": "PENDING"}))
    scripted.script(
        "status",
        Answer(status=502, body=b"a page"),
        Answer(status=502),
        Answer(body={"id": "j", "status": "COMPLETED", "output": "secret output"}),
    )
    endpoint.run({"prompt": "secret prompt"}).output(timeout=60)
    ours = [record for record in caplog.records if record.name == "novita_sdk"]
    assert [record.getMessage()[:6] for record in ours if record.levelname == "WARNING"] == ["job j:"]
    text = "\n".join(record.getMessage() for record in ours)
    assert f"POST {scripted.url}/x/run: 200 in" in text
    assert "secret" not in text
    assert "test-key" not in text
