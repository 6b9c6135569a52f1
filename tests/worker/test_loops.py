"""The I/O thread runs on uvloop where that is installed, and on asyncio's own loop where it is not."""

from __future__ import annotations

import signal

import pytest

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import Spawn

WITHOUT = "sys.modules['uvloop'] = None  # as if it were not installed\n"
WORKER = """
from novita_worker._worker import new_loop
def handler(job, context):
    context.progress(message="begun")
    for number in range(3):
        yield {"number": number}
with contextlib.closing(new_loop()) as loop:
    print(type(loop).__module__, file=sys.stderr, flush=True)
start({"handler": handler, "return_aggregate_stream": True})
"""


@pytest.mark.parametrize(
    ("before", "module"), [("", "uvloop"), (WITHOUT, "asyncio.unix_events")], ids=["uvloop", "asyncio"]
)
def test_a_workers_life_on_either_loop(gateway: WorkerGateway, spawn: Spawn, before: str, module: str) -> None:
    gateway.faults["take"].append(Fault(kind="reset"))
    gateway.faults["done"].extend([Fault(kind="truncate"), Fault(status=503)])
    worker = spawn(before + WORKER)
    job_ids = [gateway.submit() for _ in range(5)]
    for job_id in job_ids:
        assert gateway.result(job_id) == {"output": [{"number": number} for number in range(3)]}
        assert [chunk.json["output"]["number"] for chunk in gateway.of("stream", job_id)] == [0, 1, 2]
        assert [report.json["output"]["message"] for report in gateway.of("progress", job_id)] == ["begun"]
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert worker.stderr.startswith(module)
