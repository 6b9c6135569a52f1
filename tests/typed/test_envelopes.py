"""What each side does with envelopes that are not as they should be; the table is in `docs/protocol.md`."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
import requests
from aiohttp import web

from novita_gateway import Gateway
from novita_sdk import Client, JobFailedError, NotFoundError, NovitaError, ProtocolError
from tests.support.processes import python_process
from tests.support.waiting import DEADLINE
from tests.support.web import Answerer, serve_answers, serve_handler
from tests.support.world import WorkerRunner, bare_worker_env


@contextmanager
def client_of(answer: Answerer) -> Iterator[Client]:
    with serve_answers(answer) as url, Client(api_key="k", base_url=f"{url}/v1", retry_budget=0) as client:
        yield client


# The client: answers to a submit


@pytest.mark.parametrize("body", [b'{"id":"j1"}', b'{"id":"j1","status":7,"new":[1]}', b'{"id":"j1","status":null}'])
def test_a_submit_needs_nothing_but_the_id_of_its_answer(body: bytes) -> None:
    with client_of(lambda *_: (200, body)) as client:
        assert client.endpoint("e").run({}).job_id == "j1"


@pytest.mark.parametrize("body", [b"{}", b'{"id":7}', b'{"id":null}', b"[]", b"<html>", b""])
def test_a_submit_answered_without_an_id_is_an_error(body: bytes) -> None:
    with client_of(lambda *_: (200, body)) as client, pytest.raises(NovitaError):
        client.endpoint("e").run({})


# The client: states


@pytest.mark.parametrize(
    ("body", "status", "is_final"),
    [
        (b'{"id":"j1","status":"COMPLETED","output":1,"new":{"a":1}}', "COMPLETED", True),
        (b'{"id":"j1","status":"COMPLETED"}', "COMPLETED", True),
        (b'{"id":"j1","status":"PAUSED"}', "PAUSED", False),
        (b'{"id":"j1","status":"completed"}', "completed", False),
        (b'{"id":"j1","status":"RUNNING","delayTime":null,"workerId":null}', "RUNNING", False),
        (b'{"id":"j1","status":"PENDING","delayTime":"12"}', "PENDING", False),
    ],
)
def test_a_state_may_have_more_less_or_newer_members(body: bytes, status: str, is_final: bool) -> None:
    with client_of(lambda *_: (200, body)) as client:
        info = client.endpoint("e").job("j1").info()
    assert (info.status, info.is_final) == (status, is_final)


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"j1"}',
        b'{"status":"PENDING"}',
        b'{"id":"j1","status":3}',
        b'{"id":"j1","status":"PENDING","delayTime":1.5}',
        b'{"id":"j1","status":"PENDING","workerId":[]}',
        b'{"id":"j1","status":NaN}',
        b"[]",
        b"<html>",
    ],
)
def test_a_state_that_lacks_its_word_or_has_members_of_other_types_is_an_error(body: bytes) -> None:
    with client_of(lambda *_: (200, body)) as client, pytest.raises(ProtocolError):
        client.endpoint("e").job("j1").info()


@pytest.mark.parametrize(
    ("page", "chunks"),
    [
        (b'{"status":"COMPLETED","stream":[{"output":1,"new":2},{"output":null}]}', [1, None]),
        (b'{"status":"COMPLETED"}', []),
        (b'{"status":"COMPLETED","stream":null,"new":1}', []),
    ],
)
def test_a_page_of_a_stream_may_have_no_chunks(page: bytes, chunks: list[Any]) -> None:
    pages = iter([page])
    with client_of(lambda *_: (200, next(pages, b'{"status":"COMPLETED"}'))) as client:
        assert list(client.endpoint("e").job("j1").stream(timeout=60)) == chunks


@pytest.mark.parametrize(
    "page", [b"{}", b'{"status":"COMPLETED","stream":[{}]}', b'{"status":"COMPLETED","stream":{}}']
)
def test_a_damaged_page_of_a_stream_is_an_error(page: bytes) -> None:
    with client_of(lambda *_: (200, page)) as client, pytest.raises(NovitaError):
        list(client.endpoint("e").job("j1").stream(timeout=0))


# The client: errors


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        (b'{"code":"JOB_NOT_FOUND","message":"never heard of it","new":1}', "JOB_NOT_FOUND", "never heard of it"),
        (b'{"code":7,"message":"x"}', "NOT_FOUND", "no such job"),
        (b'{"message":"x"}', "NOT_FOUND", "no such job"),
        (b"<html>", "NOT_FOUND", "no such job"),
        (b"", "NOT_FOUND", "no such job"),
    ],
)
def test_a_refusal_counts_by_its_status_whatever_its_body(body: bytes, code: str, text: str) -> None:
    with client_of(lambda *_: (404, body)) as client, pytest.raises(NotFoundError, match=text) as caught:
        client.endpoint("e").job("j1").info()
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ('"plain text"', (None, "plain text", None, 0)),
        ('{"error_message":"m","new":1}', (None, "m", None, 0)),
        ('{"error_message":7,"code":8,"violations":"none"}', (None, "7", None, 0)),
        ('{"error_message":"m","error_type":null,"code":"C","violations":[{"field":"a"}]}', (None, "m", "C", 0)),
        (
            '{"error_message":"m","violations":[{"field":"a","rule":"r","message":"must","value":1,"new":2}]}',
            (None, "m", None, 1),
        ),
        ("[1]", (None, "[1]", None, 0)),
        ("null", (None, "no reason", None, 0)),
    ],
)
def test_the_error_of_a_job_is_read_as_far_as_it_can_be(error: str, expected: tuple[Any, ...]) -> None:
    body = f'{{"id":"j1","status":"FAILED","error":{error}}}'.encode()
    with client_of(lambda *_: (200, body)) as client, pytest.raises(JobFailedError) as caught:
        client.endpoint("e").job("j1").output()
    kind, message, code, violations = expected
    failure = caught.value
    assert (failure.remote_type, len(failure.violations)) == (kind, violations)
    assert message in str(failure)
    assert code is None or failure.code == code


# The gateway


class Call(Protocol):
    """Sends a body to a route of an endpoint of the test's own, as a client or as a worker."""

    def __call__(self, verb: str, path: str, body: bytes | None = None) -> requests.Response: ...


@pytest.fixture
def call(gateway: Gateway) -> Call:
    # A job that another test left would be taken first.
    endpoint = f"envelopes-{uuid.uuid4().hex}"

    def send(verb: str, path: str, body: bytes | None = None) -> requests.Response:
        is_worker = path.startswith(("job-", "ping"))
        key = gateway.worker_token if is_worker else f"Bearer {gateway.api_key}"
        url = f"{gateway.url}/{endpoint}/{path}"
        return requests.request(verb, url, data=body, headers={"Authorization": key}, timeout=60)

    return send


@pytest.fixture
def taken(call: Call) -> str:
    """A job that the worker w1 has."""
    job_id: str = call("POST", "run", b'{"input":1}').json()["id"]
    assert call("GET", "job-take/w1").json()["id"] == job_id
    return job_id


def test_a_submit_with_null_members_is_one_without_them(call: Call) -> None:
    job_id = call("POST", "run", b'{"input":null,"webhook":null,"policy":null}').json()["id"]
    job = call("GET", "job-take/w1").json()
    assert (job["id"], job["input"], "webhook" in job, "policy" in job) == (job_id, None, False, False)
    call("POST", f"job-done/w1/{job_id}", b"{}")


@pytest.mark.parametrize(
    ("body", "status", "output"),
    [
        (b"{}", "COMPLETED", {}),
        (b'{"output":null}', "COMPLETED", None),
        (b'{"output":1,"error":null}', "COMPLETED", 1),
        (b'{"output":1,"new":2}', "COMPLETED", 1),
        (b'{"error":{"any":1}}', "FAILED", None),
    ],
)
def test_a_result_may_have_more_or_less(call: Call, taken: str, body: bytes, status: str, output: Any) -> None:
    assert call("POST", f"job-done/w1/{taken}", body).status_code == 200
    job = call("GET", f"status/{taken}").json()
    assert (job["status"], job.get("output")) == (status, output)


def test_a_result_with_a_member_of_another_type_fails_its_job(call: Call, taken: str) -> None:
    assert call("POST", f"job-done/w1/{taken}", b'{"output":1,"stopPod":"yes"}').status_code == 400
    job = call("GET", f"status/{taken}").json()
    assert job["status"] == "FAILED"
    assert "stopPod must be true or false" in job["error"]


@pytest.mark.parametrize(
    ("body", "output"),
    [
        (b'{"status":"IN_PROGRESS","output":[1]}', [1]),
        (b'{"status":"IN_PROGRESS"}', None),
        (b'{"status":"WARMING_UP","output":2,"new":3}', 2),
    ],
)
def test_progress_is_whatever_has_a_status_that_is_not_final(call: Call, taken: str, body: bytes, output: Any) -> None:
    assert call("POST", f"job-done/w1/{taken}", body).status_code == 200
    job = call("GET", f"status/{taken}").json()
    assert (job["status"], job["output"]) == ("IN_PROGRESS", output)


@pytest.mark.parametrize(("body", "status"), [(b'{"output":1,"new":2}', 200), (b"{}", 400), (b"[1]", 400)])
def test_a_chunk_needs_its_output(call: Call, taken: str, body: bytes, status: int) -> None:
    assert call("POST", f"job-stream/w1/{taken}", body).status_code == status
    chunks = call("GET", f"stream/{taken}").json()["stream"]
    assert chunks == ([{"output": 1}] if status == 200 else [])


@pytest.mark.parametrize("body", [b"", b"[]", b'{"methods":[{}]}', b'{"methods":1}', b'{"descriptors":1}'])
def test_a_schema_that_is_none_is_refused(call: Call, body: bytes) -> None:
    assert call("POST", "job-schema/w1", body).status_code == 400


# The worker


def test_members_that_nobody_knows_reach_the_handler(
    gateway: Gateway, run_worker: WorkerRunner, tmp_path: Path
) -> None:
    script = tmp_path / "mirror.py"
    script.write_text("import novita_gpus\nnovita_gpus.start({'handler': lambda job: job})\n", encoding="utf-8")
    with run_worker(script, "mirror"), Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        job = client.endpoint("mirror").run({"input": 1, "batchId": [1.0], "policy": {"ttl": 60_000}})
        seen = job.output(timeout=60)
    assert (seen["id"], seen["input"], seen["batchId"], seen["policy"]["ttl"]) == (job.job_id, 1, [1.0], 60_000)


def test_a_worker_survives_every_answer_to_a_take(plain_environment: dict[str, str], tmp_path: Path) -> None:
    takes = [b"<html>", b"[]", b"null", b'"job"', b"[3]", b'{"id":7,"input":1}', b'{"id":"","input":1}', b'{"id":"a"}']
    takes += [b'[{"id":"b","input":1,"policy":"none","webhook":5},{"input":2}]']
    posts: dict[str, Any] = {}
    done = threading.Event()

    async def handle(request: web.Request) -> web.Response:
        if "/job-take" in request.path:
            if takes:
                return web.Response(body=takes.pop(0))
            await asyncio.sleep(0.05)
        if request.method == "POST" and "/job-done/" in request.path:
            posts[request.path.rpartition("/")[2]] = await request.json()
            if "b" in posts:
                done.set()
        return web.Response(status=204)

    script = tmp_path / "echo.py"
    script.write_text(
        "import novita_gpus\nnovita_gpus.start({'handler': lambda job: job['input']})\n", encoding="utf-8"
    )
    with serve_handler(handle) as url:
        variables = plain_environment | bare_worker_env(f"{url}/ep")
        with python_process(script, environment=variables, cwd=tmp_path):
            assert done.wait(DEADLINE), posts
    assert set(posts) == {"a", "b"}
    assert json.loads(posts["a"]["error"])["code"] == "INVALID_JOB"
    assert posts["b"] == {"output": 1}


@pytest.mark.sources
def test_every_row_of_the_table_has_its_test(repository: Path) -> None:
    text = (repository / "docs" / "protocol.md").read_text(encoding="utf-8")
    heads = ("|---", "| envelope |")
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith(heads)]
    assert len(rows) > 20
    for row in rows:
        found = re.findall(r"`([\w/]+\.py)` `(test_\w+)`", row)
        assert found, row
        for file, name in found:
            assert f"def {name}(" in (repository / "tests" / file).read_text(encoding="utf-8"), (file, name)
