"""A handler is tested in its author's own process, without a network."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from novita_worker import ConfigError, JobContext, progress_update
from novita_worker.testing import LocalWorker


def echo(job: dict[str, Any]) -> Any:
    return {"echo": job["input"]}


async def echo_async(job: dict[str, Any]) -> Any:
    await asyncio.sleep(0)
    return {"echo": job["input"]}


@pytest.mark.parametrize("handler", [echo, echo_async])
def test_a_job_runs_and_gives_its_output(handler: Any) -> None:
    with LocalWorker(handler) as worker:
        assert worker.run({"n": 2**70}).output == {"echo": {"n": 2**70}}
        assert worker.run("again").output == {"echo": "again"}


def test_progress_and_chunks_are_seen() -> None:
    def handler(job: dict[str, Any], context: JobContext) -> Any:
        for _ in context.track([1, 2]):
            yield job["id"]

    with LocalWorker(handler, return_aggregate_stream=True) as worker:
        result = worker.run(id="mine")
    assert result.output == ["mine", "mine"]
    assert result.chunks == ("mine", "mine")
    assert result.progress
    assert all(report["data"]["total"] == 2 for report in result.progress)


def test_errors_are_told_apart() -> None:
    def handler(job: dict[str, Any]) -> Any:
        if job["input"] == "raise":
            raise ValueError("no")
        return {"error": "returned", "partial": 1}

    with LocalWorker(handler) as worker:
        raised, returned = worker.run("raise"), worker.run("return")
    assert raised.error["error_type"] == "<class 'ValueError'>"
    assert raised.error["error_message"] == "no"
    assert (returned.error, returned.output) == ("returned", {"partial": 1})


def test_a_stopped_job_ends_without_a_result() -> None:
    cancelled = threading.Event()

    def handler(job: dict[str, Any], context: JobContext) -> Any:
        context.on_cancel(cancelled.set)
        context.progress(message="working")
        while True:
            context.checkpoint()
            time.sleep(0.005)

    with LocalWorker(handler) as worker:
        job = worker.submit()
        while not job.progress:
            time.sleep(0.005)
        job.stop()
        assert cancelled.wait(60)
        with pytest.raises(TimeoutError, match="has no result"):
            job.result(timeout=0.1)


def test_jobs_run_at_once_and_hooks_around_them() -> None:
    barrier = threading.Barrier(3)
    seen: list[str] = []

    def handler(job: dict[str, Any]) -> Any:
        barrier.wait(60)
        return job["input"]

    with LocalWorker(
        handler, concurrency=3, setup=lambda: seen.append("setup"), teardown=lambda: seen.append("teardown")
    ) as worker:
        jobs = [worker.submit(i) for i in range(3)]
        assert [job.result().output for job in jobs] == [0, 1, 2]
        assert seen == ["setup"]
    assert seen == ["setup", "teardown"]


def test_published_progress_reaches_the_test() -> None:
    def handler(job: dict[str, Any]) -> None:
        progress_update(job, {"status": "running"})

    with LocalWorker(handler) as worker:
        assert worker.run().progress == ({"status": "running"},)


def test_what_start_refuses_is_refused() -> None:
    with pytest.raises(ConfigError):
        LocalWorker(lambda: None)
    with pytest.raises(ConfigError):
        LocalWorker(echo, concurrency=0)


def test_a_worker_that_is_not_used_ends_at_once() -> None:
    for _ in range(5):
        with LocalWorker(echo):
            pass


def test_a_jobs_own_time_limit_counts() -> None:
    def handler(job: dict[str, Any], context: JobContext) -> None:
        while not context.cancelled:
            time.sleep(0.01)

    with LocalWorker(handler) as worker:
        assert worker.run(policy={"executionTimeout": 50}).error["code"] == "TIMEOUT"


@pytest.mark.parametrize("job_id", ["", 7, "a\nb"])
def test_an_id_that_can_be_none_is_refused(job_id: object) -> None:
    with LocalWorker(echo) as worker, pytest.raises(ValueError, match="no job can have the id"):
        worker.submit(id=job_id)


def test_progress_is_the_message_of_the_protocol() -> None:
    def handler(job: dict[str, Any], context: JobContext) -> None:
        context.progress(fraction=1, message="\ud800")  # can't be sent, and is no reason to fail
        context.progress(fraction=1, message="half", data={"b": 1, "a": None})

    with LocalWorker(handler) as worker:
        result = worker.run()
    assert result.error is None
    assert result.progress == ({"fraction": 1, "message": "half", "data": {"b": 1, "a": None}},)
