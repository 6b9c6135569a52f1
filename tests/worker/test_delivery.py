"""A result arrives, or its caller learns why it can't."""

from __future__ import annotations

import json
import signal
from typing import Any

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import ECHO, Spawn

TRANSIENT: list[dict[str, Any]] = [
    {"kind": "reset"},
    {"kind": "reset-after"},
    {"kind": "truncate"},
    *({"status": status} for status in (301, 303, 308, 401, 403, 408, 425, 429, 500, 503)),
]
"""What says nothing about a result. A key may be put right, and what redirects a post is not the gateway."""


def bodies(gateway: WorkerGateway, job_id: str, count: int) -> list[bytes]:
    """The bodies of so many results."""
    gateway.wait_for(lambda: len(gateway.of("done", job_id)) >= count)
    return [result.body for result in gateway.of("done", job_id)]


def test_a_result_is_posted_again_after_a_transient_failure(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(ECHO)
    for problem in TRANSIENT:
        gateway.faults["done"].extend([Fault(**problem, headers={"Location": "/login"})] * 2)
        job_id = gateway.submit({"a": 1})
        count = 3 if problem.get("kind") in ("reset-after", "truncate") else 1  # it arrives before the fault
        assert bodies(gateway, job_id, count) == [b'{"output":{"a":1}}'] * count, problem
        worker.wait_for_log(f"a post of job {job_id} did not get through.*trying again")


def test_retry_after_is_honoured(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["done"].append(Fault(status=429, headers={"Retry-After": "1"}))
    spawn(ECHO)
    job_id = gateway.submit(1)
    gateway.result(job_id)
    refused = gateway.of("failed")[0]
    assert gateway.of("done")[0].time - refused.time >= 1.0


def test_a_refused_connection_is_tried_again(gateway: WorkerGateway, spawn: Spawn) -> None:
    nowhere = "http://127.0.0.1:9/v2/job-done/p/$ID?x=1"
    worker = spawn(ECHO, environ={**gateway.environ(), "NOVITA_WEBHOOK_POST_OUTPUT": nowhere})
    gateway.submit()
    worker.wait_for_log("did not get through.*trying again")
    worker.send_signal(signal.SIGKILL)


def test_a_gateway_that_comes_back_finds_the_worker(spawn: Spawn) -> None:
    with WorkerGateway() as first:
        environ, port = first.environ(), first.port
    worker = spawn(ECHO, environ=environ)
    worker.wait_for_log("asking for jobs failed")
    with WorkerGateway(port=port) as second:
        assert second.result(second.submit("back")) == {"output": "back"}
        worker.wait_for_log("asking for jobs works again")


def test_the_next_job_runs_while_a_result_is_held_up(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["done"].append(Fault(kind="hang"))
    spawn(ECHO)
    gateway.submit("held up")
    gateway.wait_for(lambda: gateway.of("failed"))
    assert gateway.result(gateway.submit("next")) == {"output": "next"}


def test_a_permanent_refusal_is_answered_with_a_small_error(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["done"].append(Fault(status=413, body="too big for us"))
    worker = spawn(ECHO)
    result = gateway.result(gateway.submit("x" * 1000))
    error = json.loads(result["error"])
    assert error["code"] == "OUTPUT_REFUSED"
    assert "413" in error["error_message"]
    assert "too big for us" in error["error_message"]
    worker.wait_for_log("refused the result of job j1")
    assert gateway.result(gateway.submit("still alive")) == {"output": "still alive"}


def test_a_refused_error_is_not_repeated(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["done"].extend([Fault(status=400)] * 2)
    spawn(ECHO)
    gateway.submit(1)
    gateway.wait_for(lambda: len(gateway.of("failed", "j1")) == 2)
    assert gateway.result(gateway.submit(2)) == {"output": 2}
    assert gateway.of("done", "j1") == []
