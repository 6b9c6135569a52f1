"""Chunks arrive in order, over slow links and in bounded memory."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import ECHO, Spawn


def test_a_slow_link_does_not_stall_a_generator(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["stream"].extend([Fault(status=503)] * 1000)
    worker = spawn(
        """
        def handler(job):
            yield from range(200)
            logging.warning("all made")
        start({"handler": handler})
        """
    )
    job_id = gateway.submit()
    worker.wait_for_log("all made")
    assert gateway.of("stream", job_id) == []
    gateway.faults["stream"].clear()
    gateway.result(job_id)
    assert [chunk.json["output"] for chunk in gateway.of("stream", job_id)] == list(range(200))


def test_a_generator_that_is_far_ahead_waits(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["stream"].extend([Fault(status=503)] * 1000)
    worker = spawn(
        """
        def handler(job):
            for i in range(40):
                logging.warning("made %d", i)
                yield "x" * 1024 * 1024
        start({"handler": handler})
        """
    )
    job_id = gateway.submit()
    worker.wait_for_log("made 7")
    gateway.wait_for(lambda: len(gateway.of("failed")) > 2)
    assert "made 10\n" not in worker.stderr
    gateway.faults["stream"].clear()
    gateway.result(job_id)
    assert len(gateway.of("stream", job_id)) == 40


def test_a_chunk_that_is_refused_fails_the_job_and_ends_the_generator(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["stream"].append(Fault(status=413))
    worker = spawn(
        """
        def handler(job):
            try:
                while True:
                    yield "chunk"
                    time.sleep(0.01)
            finally:
                logging.warning("generator closed")
        start({"handler": handler})
        """
    )
    assert json.loads(gateway.result(gateway.submit())["error"])["code"] == "OUTPUT_REFUSED"
    worker.wait_for_log("generator closed")


def places(gateway: WorkerGateway, route: str, job_id: str) -> list[str]:
    """What the queries of a job's posts say beside what published workers send."""
    return [request.query.removeprefix("gpu=A+B&isStream=") for request in gateway.of(route, job_id)]


COUNT = """
def handler(job):
    yield from range(3)
start({"handler": handler})
"""


def test_chunks_have_numbers_where_the_gateway_counts_takes(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["stream"].extend([Fault(kind="reset-after"), Fault(kind="truncate")])
    spawn(COUNT)
    job_id = gateway.submit(take=4)
    assert gateway.result(job_id) == {"output": []}
    assert places(gateway, "stream", job_id) == [f"false&take=4&number={number}" for number in (0, 0, 0, 1, 2)]
    assert [chunk.json for chunk in gateway.of("stream", job_id)] == [{"output": n} for n in (0, 0, 0, 1, 2)]
    assert places(gateway, "done", job_id) == ["true&take=4"]


def test_another_take_of_a_job_counts_its_chunks_anew(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(COUNT)
    job_id = gateway.submit(take=1)
    gateway.result(job_id)
    gateway.offer({"id": job_id, "input": None, "take": 2})
    gateway.wait_for(lambda: len(gateway.of("done", job_id)) == 2)
    assert places(gateway, "stream", job_id)[3:] == [f"false&take=2&number={number}" for number in range(3)]


@pytest.mark.parametrize("extra", [{}, {"take": None}, {"take": "x"}])
def test_elsewhere_posts_are_as_the_published_workers_make_them(
    gateway: WorkerGateway, spawn: Spawn, extra: dict[str, object]
) -> None:
    spawn(COUNT)
    job_id = gateway.submit(**extra)
    gateway.result(job_id)
    assert places(gateway, "stream", job_id) == ["false"] * 3
    assert places(gateway, "done", job_id) == ["true"]


def test_the_result_of_a_job_without_chunks_has_no_place(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(ECHO)
    job_id = gateway.submit(1, take=4)
    gateway.result(job_id)
    assert places(gateway, "done", job_id) == ["false"]


def test_chunks_from_the_disk_keep_their_numbers(gateway: WorkerGateway, spawn: Spawn, environ: dict[str, str]) -> None:
    gateway.faults["stream"].extend([Fault(kind="reset-after"), *[Fault(status=503)] * 100])
    first = spawn(COUNT, environ=environ)
    job_id = gateway.submit(take=4)
    spool = Path(environ["NOVITA_SPOOL_DIR"])
    eventually(lambda: list(spool.glob("*/*.result")))
    gateway.wait_for(
        lambda: gateway.of("stream", job_id)
    )  # the result may be on the disk before the first chunk is posted
    first.send_signal(signal.SIGKILL)
    first.wait()
    gateway.faults["stream"].clear()
    spawn(COUNT, environ=environ)
    gateway.result(job_id)
    assert places(gateway, "stream", job_id) == [f"false&take=4&number={number}" for number in (0, 0, 1, 2)]
    assert places(gateway, "done", job_id) == ["true&take=4"]


def test_a_stream_that_was_taken_again_runs_again_though_its_old_result_is_on_the_disk(
    gateway: WorkerGateway, spawn: Spawn, environ: dict[str, str]
) -> None:
    gateway.faults["stream"].extend([Fault(status=503)] * 100)
    first = spawn(COUNT, environ=environ)
    job_id = gateway.submit(take=4)
    eventually(lambda: list(Path(environ["NOVITA_SPOOL_DIR"]).glob("*/*.result")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    spawn(COUNT, environ=environ)
    gateway.offer({"id": job_id, "input": None, "take": 5})
    gateway.wait_for(lambda: any("take=5" in request.query for request in gateway.of("failed", job_id)))
    gateway.faults["stream"].clear()
    gateway.wait_for(lambda: len(gateway.of("done", job_id)) == 2)
    assert sorted(places(gateway, "done", job_id)) == ["true&take=4", "true&take=5"]
