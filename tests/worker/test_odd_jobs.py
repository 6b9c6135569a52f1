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
    limits = ["1" + "0" * 400, "1e308", "Infinity", "NaN", "true", '"5 s"', "-1", "[]"]
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


def test_one_unreadable_job_among_several_loses_only_itself(gateway: WorkerGateway, spawn: Spawn) -> None:
    odd = ['"job"', "3", "null", "[]", '{"id":7,"input":1}', '{"id":"\\ud800","input":1}', '{"id":"b","policy":[]}']
    jobs = ",".join(['{"id":"a","input":"first"}', *odd, '{"id":"c","input":"last","attempt":"x","webhook":5}'])
    gateway.faults["take"].append(Fault(status=200, body=f"[{jobs}]"))
    worker = spawn(ECHO)
    assert gateway.result("a") == {"output": "first"}
    assert gateway.result("c") == {"output": "last"}
    assert json.loads(gateway.result("b")["error"])["code"] == "INVALID_JOB"
    worker.wait_for_log("it has no id")


def test_a_handler_gets_the_job_as_it_came(gateway: WorkerGateway, spawn: Spawn) -> None:
    job = (
        '{"zeta":1.0,"input":{"seed":1125899906842624123,"big":1'
        + "0" * 30
        + '},"s3Config":{"b":1,"a":[]},"attempt":2,'
        '"policy":{"ttl":"60000","executionTimeout":60000.0,"more":null},"id":"whole","alpha":null,"webhook":"http://h/"}'
    )
    gateway.faults["take"].append(Fault(status=200, body=job))
    spawn('import json\nstart({"handler": lambda job: json.dumps(job, separators=(",", ":"))})')
    assert gateway.result("whole")["output"] == job


def test_a_time_limit_may_be_text_as_protobuf_writes_it(gateway: WorkerGateway, spawn: Spawn) -> None:
    job = '{"id":"slow","input":1,"policy":{"executionTimeout":"100"}}'
    gateway.faults["take"].append(Fault(status=200, body=job))
    spawn('start({"handler": lambda job: time.sleep(600)})')
    assert json.loads(gateway.result("slow")["error"])["code"] == "TIMEOUT"
