"""Jobs that a gateway should not have given, or not like this."""

from __future__ import annotations

import gzip
import json

import pytest

from novita_worker.link.protocol import TakeReply
from novita_worker.link.replies import read_jobs
from tests.support.processes import memory
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


UNREADABLE = {
    "digits": b'{"id":"odd","input":' + b"9" * 5000 + b"}",
    "digits elsewhere": b'{"id":"odd","input":1,"more":[' + b"9" * 5000 + b"]}",
    "depth": b'{"id":"odd","input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "bytes": b'{"id":"odd","input":"\xff\xfe"}',
    "not JSON": b'{"id":"odd","input":tru}',
    "id last": b'{"input":{"id":"inner","n":' + b"9" * 5000 + b'},"id":"odd"}',
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_job_that_cannot_be_read_is_failed_and_its_neighbours_run(
    gateway: WorkerGateway, spawn: Spawn, kind: str
) -> None:
    jobs = [b'{"id":"a","input":"first"}', UNREADABLE[kind], b'{"id":"c","input":"last, with [,{\\"}"}']
    gateway.faults["take"].append(Fault(status=200, body=b"[" + b",".join(jobs) + b"]"))
    worker = spawn(ECHO)
    assert gateway.result("a") == {"output": "first"}
    assert gateway.result("c") == {"output": 'last, with [,{"}'}
    error = json.loads(gateway.result("odd")["error"])
    assert error["code"] == "INVALID_JOB"
    assert "the job can't run: it can't be read: " in error["error_message"]
    assert "Traceback" not in worker.stderr


@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_lone_job_that_cannot_be_read_is_failed(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    gateway.faults["take"].append(Fault(status=200, body=UNREADABLE[kind]))
    spawn(ECHO)
    assert json.loads(gateway.result("odd")["error"])["code"] == "INVALID_JOB"
    assert gateway.result(gateway.submit(1)) == {"output": 1}


@pytest.mark.core
@pytest.mark.parametrize("second", ['"id":"victim"', '"\\u0069d":"victim"', '"attempt":9', '"i\\u0064":"victim"'])
@pytest.mark.parametrize("as_list", [True, False])
def test_of_members_that_stand_twice_the_first_counts(second: str, as_list: bool) -> None:
    text = f'{{"id":"own","attempt":1,"input":{{"id":1,"a":1,"a":2}},"webhook":"w",{second}}}'
    reply = read_jobs((f'[{{"id":"other","input":5}},{text}]' if as_list else text).encode())
    assert isinstance(reply, TakeReply)
    assert reply.broken == ()
    job = reply.jobs[-1]
    assert job.id == "own"
    assert job.members == {"id": "own", "attempt": 1, "input": {"id": 1, "a": 2}, "webhook": "w"}
    assert list(job.members) == ["id", "attempt", "input", "webhook"]


@pytest.mark.core
def test_what_is_whole_of_a_reply_that_is_cut_off_counts() -> None:
    reply = read_jobs(b'[{"id":"a","input":1},{"id":"b","input":[1,')
    assert isinstance(reply, TakeReply)
    assert [job.id for job in reply.jobs] == ["a"]


@pytest.mark.parametrize("packed", [True, False])
def test_a_reply_without_end_is_not_read_to_it(gateway: WorkerGateway, spawn: Spawn, packed: bool) -> None:
    body = b'{"id":"huge","input":"' + bytes(400 * 2**20) + b'"}'
    headers = {"Content-Encoding": "gzip"} if packed else {}
    gateway.faults["take"].append(Fault(status=200, headers=headers, body=gzip.compress(body, 1) if packed else body))
    worker = spawn(ECHO)
    worker.wait_for_log("asking for jobs failed: the reply is larger than 33,554,432 bytes, and was not read")
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    peak = memory(worker.pid, "VmHWM")
    assert peak < 250 * 1024, f"{peak} KiB"


@pytest.mark.parametrize("encoding", ["gzip", "br", "nonsense"])
def test_a_reply_that_is_not_packed_as_it_says_is_told(gateway: WorkerGateway, spawn: Spawn, encoding: str) -> None:
    fault = Fault(status=200, headers={"Content-Encoding": encoding}, body='{"id":"odd","input":1')
    gateway.faults["take"].append(fault)
    worker = spawn(ECHO)
    worker.wait_for_log("asking for jobs failed: ")
    assert gateway.result(gateway.submit(1)) == {"output": 1}
