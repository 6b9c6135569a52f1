"""Jobs that a gateway should not have given, or not like this."""

from __future__ import annotations

import json

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import ECHO, Spawn


def test_the_same_job_handed_out_twice_runs_once(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        count = 0
        def handler(job):
            global count
            count += 1
            hold()
            return count
        start({"handler": handler, "concurrency": 2})
        """
    )
    job = {"id": "twice", "input": {}}
    gateway.offer(job)
    gateway.offer(job)
    gateway.wait_for(lambda: len(gateway.of("batch")) + len(gateway.of("take")) > 2)
    worker.let_go()
    assert gateway.result("twice") == {"output": 1}
    gateway.result(gateway.submit())
    assert len(gateway.of("done", "twice")) == 1


def test_a_time_limit_that_makes_no_sense_is_none(gateway: WorkerGateway, spawn: Spawn) -> None:
    limits = ["1" + "0" * 400, "1e308", "Infinity", "NaN", "true", '"5"', "-1", "[]"]
    for number, limit in enumerate(limits):
        job = f'{{"id": "odd{number}", "input": 1, "policy": {{"executionTimeout": {limit}}}}}'
        gateway.faults["take"].append(Fault(status=200, body=job))
    spawn(ECHO)
    for number in range(len(limits)):
        assert gateway.result(f"odd{number}") == {"output": 1}


def test_a_job_without_input_is_failed_and_one_without_id_skipped(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(ECHO)
    gateway.offer({"input": 1})
    gateway.offer({"id": "no-input"})
    assert json.loads(gateway.result("no-input")["error"])["code"] == "INVALID_JOB"
    worker.wait_for_log("it has no id")
    assert gateway.result(gateway.submit(None)) == {"output": None}
