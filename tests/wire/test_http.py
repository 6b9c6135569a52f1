"""Requests made from the method tables, and read back from them."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from novita_sdk import models
from novita_sdk.rpc import JobsServiceMethods, Method, WorkerServiceMethods
from novita_sdk.wire import codec, http

pytestmark = pytest.mark.core

BASE = "http://127.0.0.1:9/v1"
METHODS = [*JobsServiceMethods.ALL, *WorkerServiceMethods.ALL]


def routed(method: Method[Message, Message], request: http.HttpRequest) -> Message:
    """What a server that routes by the template would read from a request."""
    url = urlsplit(request.url)
    names = [part for part in method.path.split("/") if part]
    values = url.path.removeprefix("/v1").split("/")[1:]
    path = {name.strip("{}"): unquote(value) for name, value in zip(names, values, strict=True) if name[0] == "{"}
    return http.parse_request(
        method, path=path, query=dict(parse_qsl(url.query)), headers=request.headers, body=request.body or b""
    )


def test_a_submit_is_one_post_with_the_payload_inline() -> None:
    request = http.build_request(
        JobsServiceMethods.RUN,
        models.RunRequest(
            endpoint="ep-app", request=models.JobRequest(input=b'{"prompt": 1}'), idempotency_key="key-1"
        ),
        BASE,
    )
    assert (request.verb, request.url) == ("POST", f"{BASE}/ep-app/run")
    assert request.body == b'{"input":{"prompt": 1}}'
    assert request.headers == {"Idempotency-Key": "key-1"}


def test_calls_without_a_body_send_none() -> None:
    cancel = http.build_request(JobsServiceMethods.CANCEL, models.CancelRequest(endpoint="ep", id="j1"), BASE)
    assert (cancel.verb, cancel.url, cancel.body) == ("POST", f"{BASE}/ep/cancel/j1", None)
    status = http.build_request(
        JobsServiceMethods.GET_STATUS, models.GetStatusRequest(endpoint="ep", id="j1", wait=0), BASE
    )
    assert (status.verb, status.url) == ("GET", f"{BASE}/ep/status/j1?wait=0")


names = st.text(st.characters(codec="ascii", exclude_characters="/\x00", categories=["L", "N", "P", "S"]), min_size=1)


@given(names, names, st.none() | st.integers(0, 2**40))
def test_path_and_query_come_back_as_they_went(endpoint: str, job_id: str, wait: int | None) -> None:
    sent = models.GetStatusRequest(endpoint=endpoint, id=job_id, wait=wait)
    request = http.build_request(JobsServiceMethods.GET_STATUS, sent, BASE)
    assert routed(JobsServiceMethods.GET_STATUS, request) == sent


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_method_has_a_route_and_reads_its_own_request(method: Method[Message, Message]) -> None:
    path = {name: "x" for name in ("endpoint", "id", "worker_id") if f"{{{name}}}" in method.path}
    body = {
        "request": b'{"input":{}}',
        "result": b"{}",
        "chunk": b'{"output":1}',
        "schema": b'{"methods":[{"input":{}}]}',
        "": b"",
    }[method.body]
    request = http.parse_request(method, path=path, query={}, headers={}, body=body)
    assert routed(method, http.build_request(method, request, BASE)) == request


def test_a_batch_take_answers_with_a_bare_array() -> None:
    response = models.TakeJobsResponse(jobs=[models.Job(id="a", input=b"1"), models.Job(id="b", input=b"null")])
    data = http.build_response(WorkerServiceMethods.TAKE_JOBS, response)
    assert data == b'[{"id":"a","input":1},{"id":"b","input":null}]'
    assert http.parse_response(WorkerServiceMethods.TAKE_JOBS, data) == response


def test_a_take_without_a_job_is_an_empty_body() -> None:
    data = http.build_response(WorkerServiceMethods.TAKE_JOB, models.TakeJobResponse())
    assert data == b""
    assert not http.parse_response(WorkerServiceMethods.TAKE_JOB, data).HasField("job")


def test_a_status_answers_with_the_job_itself() -> None:
    body = b'{"id":"j","status":"FAILED","error":"out of memory"}'
    response = http.parse_response(JobsServiceMethods.GET_STATUS, body)
    assert response.job.error == b'"out of memory"'
    assert http.build_response(JobsServiceMethods.GET_STATUS, response) == body


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ({"wait": "soon"}, "GetStatusRequest.wait must be an integer, not 'soon'"),
        ({"wait": "9" * 30}, "GetStatusRequest.wait must be an integer"),
        ({"wait": "9" * 5000}, "GetStatusRequest.wait must be an integer"),
    ],
)
def test_a_bad_parameter_is_named(query: dict[str, str], problem: str) -> None:
    with pytest.raises(codec.WireError) as caught:
        http.parse_request(
            JobsServiceMethods.GET_STATUS, path={"endpoint": "e", "id": "j"}, query=query, headers={}, body=b""
        )
    assert str(caught.value).startswith(problem)


def test_unknown_parameters_are_ignored() -> None:
    request = http.parse_request(
        WorkerServiceMethods.FINISH_JOB,
        path={"endpoint": "e", "worker_id": "w", "id": "j"},
        query={"gpu": "A B", "isStream": "false"},
        headers={},
        body='{"output": {"ok": true, "u": "é☃"}}'.encode(),
    )
    assert request.is_stream is False
    assert request.result.output == '{"ok": true, "u": "é☃"}'.encode()
