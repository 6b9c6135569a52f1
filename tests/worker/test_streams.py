"""Chunks arrive in order, over slow links and in bounded memory."""

from __future__ import annotations

import json

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import Spawn


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
