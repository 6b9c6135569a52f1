"""Each kind of handler serves jobs over the wire."""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import START, Spawn

HANDLERS = {
    "sync": """
        def handler(job):
            return {"echo": job["input"], "main": threading.current_thread() is threading.main_thread()}
        """,
    "async": """
        async def handler(job):
            await asyncio.sleep(0)
            return {"echo": job["input"], "main": threading.current_thread() is threading.main_thread()}
        """,
}


@pytest.mark.parametrize("kind", HANDLERS)
def test_a_returned_dict_is_the_output(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    spawn(HANDLERS[kind] + START)
    job_id = gateway.submit({"n": 2**70, "f": 1.0, "text": "é☃"})
    assert gateway.result(job_id) == {"output": {"echo": {"n": 2**70, "f": 1.0, "text": "é☃"}, "main": True}}


GENERATORS = {
    "generator": """
        def handler(job):
            for i in range(3):
                yield {"i": i}
        """,
    "async generator": """
        async def handler(job):
            for i in range(3):
                yield {"i": i}
        """,
}


@pytest.mark.parametrize("kind", GENERATORS)
def test_chunks_are_streamed_in_order_before_the_closing_result(
    gateway: WorkerGateway, spawn: Spawn, kind: str
) -> None:
    spawn(GENERATORS[kind] + START)
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"output": []}
    chunks = gateway.of("stream", job_id)
    assert [chunk.json for chunk in chunks] == [{"output": {"i": i}} for i in range(3)]
    assert {chunk.query for chunk in chunks} == {"gpu=A+B&isStream=false"}
    assert gateway.of("done", job_id)[0].query == "gpu=A+B&isStream=true"
    assert gateway.requests.index(chunks[-1]) < gateway.requests.index(gateway.of("done")[0])


@pytest.mark.parametrize("kind", GENERATORS)
def test_an_aggregated_stream_repeats_its_chunks_in_the_result(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    spawn(GENERATORS[kind] + 'start({"handler": handler, "return_aggregate_stream": True})')
    assert gateway.result(gateway.submit()) == {"output": [{"i": 0}, {"i": 1}, {"i": 2}]}


def test_posts_look_as_those_of_the_published_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(HANDLERS["sync"] + START)
    job_id = gateway.submit(1)
    gateway.result(job_id)
    done = gateway.of("done", job_id)[0]
    assert done.query == "gpu=A+B&isStream=false"
    assert done.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert done.headers["charset"] == "utf-8"
    assert done.headers["Authorization"] == "KEY123"
    assert done.headers["X-Request-ID"] == job_id
    assert done.headers["User-Agent"].startswith("novita-gpus/")
    take = gateway.of("take")[0]
    assert take.query == "gpu=A+B&job_in_progress=0"
    assert take.headers["Content-Type"] == "application/json"
    gateway.wait_for(lambda: len(gateway.of("take")) > 1)
    assert all("X-Request-ID" not in take.headers for take in gateway.of("take"))


def test_the_other_published_packages_variables_work_too(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(HANDLERS["sync"] + START, environ=gateway.environ("RUNPOD"))
    assert "output" in gateway.result(gateway.submit())


@pytest.mark.parametrize(
    ("value", "body"),
    [
        ("None", {"output": None}),
        ("{}", {}),
        ("[1, 'x']", {"output": [1, "x"]}),
        ("{'error': 'e1', 'keep': 1}", {"output": {"keep": 1}, "error": "e1"}),
        ("{'error': {'code': 5}}", {"error": {"code": 5}}),
        ("{'error': None, 'keep': 1}", {"output": {"keep": 1}}),
        ("{'keep': 1, 'refresh_worker': True}", {"output": {"keep": 1}, "stopPod": True}),
    ],
)
def test_a_returned_value_has_the_published_shape(gateway: WorkerGateway, spawn: Spawn, value: str, body: Any) -> None:
    spawn(f"def handler(job): return {value}\n" + START)
    assert gateway.result(gateway.submit()) == body


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_an_exception_becomes_the_jobs_error(gateway: WorkerGateway, spawn: Spawn, keyword: str) -> None:
    worker = spawn(f"{keyword} handler(job):\n    raise ValueError('no such model')\n" + START)
    result = gateway.result(gateway.submit())
    error = json.loads(result["error"])
    assert error["error_type"] == "<class 'ValueError'>"
    assert error["error_message"] == "no such model"
    assert error["hostname"] == "host1"
    assert error["worker_id"] == "pod1"
    assert "raise ValueError('no such model')" in error["error_traceback"]
    assert "novita_worker/_" not in error["error_traceback"]
    assert set(result) == {"error"}
    assert "error" in gateway.result(gateway.submit())
    assert worker.process.poll() is None


@pytest.mark.parametrize("kind", GENERATORS)
def test_chunks_before_an_error_are_delivered(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    spawn(GENERATORS[kind].rstrip() + "\n            raise KeyError('late')\n        " + START)
    job_id = gateway.submit()
    assert json.loads(gateway.result(job_id)["error"])["error_type"] == "<class 'KeyError'>"
    assert len(gateway.of("stream", job_id)) == 3
    assert gateway.of("done", job_id)[0].query.endswith("isStream=true")


def test_a_yielded_error_ends_the_stream(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn("def handler(job):\n    yield 1\n    yield {'error': 'no more'}\n    yield 2\n" + START)
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"error": "no more"}
    assert [chunk.json for chunk in gateway.of("stream", job_id)] == [{"output": 1}]


def test_progress_comes_before_the_result_and_never_after(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(job):
            progress_update(job, {"status": "running", "message": "job accepted"})
            return {}
        """
        + START
    )
    jobs = [gateway.submit() for _ in range(20)]
    for job_id in jobs:
        gateway.result(job_id)
        progress = gateway.of("progress", job_id)
        assert [p.json for p in progress] == [
            {"output": {"status": "running", "message": "job accepted"}, "status": "IN_PROGRESS"}
        ]
        assert gateway.requests.index(progress[0]) < gateway.requests.index(gateway.of("done", job_id)[0])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("kind", HANDLERS)
def test_an_idle_worker_ends_at_once_on_a_signal(gateway: WorkerGateway, spawn: Spawn, kind: str, number: int) -> None:
    gateway.park = 600.0
    worker = spawn(HANDLERS[kind] + START)
    gateway.wait_for(lambda: gateway.of("take"))
    worker.send_signal(number)
    # Far below what the gateway parks.
    assert worker.wait() == 0


def test_the_running_job_is_finished_on_a_signal(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def handler(job):\n    progress_update(job, 1)\n    time.sleep(0.5)\n    return 'done'\n" + START)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id))
    worker.send_signal(signal.SIGTERM)
    assert gateway.result(job_id) == {"output": "done"}
    assert worker.wait() == 0
