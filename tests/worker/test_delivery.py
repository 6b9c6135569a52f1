"""A result arrives, or its caller learns why it can't."""

from __future__ import annotations

import itertools
import json
import signal
from typing import Any

import pytest

ECHO = 'def handler(job):\n    return job["input"]\nstart({"handler": handler})\n'


@pytest.mark.parametrize(
    "problem",
    [
        {"kind": "reset"},
        {"kind": "reset-after"},
        {"kind": "truncate"},
        {"status": 408},
        {"status": 425},
        {"status": 429},
        {"status": 500},
        {"status": 503},
    ],
    ids=lambda problem: "-".join(map(str, problem.values())),
)
def test_a_result_is_posted_again_after_a_transient_failure(
    gateway: Any, spawn: Any, fault: Any, problem: dict[str, Any]
) -> None:
    gateway.faults["done"].extend([fault(**problem)] * 3)
    spawn(ECHO)
    job_id = gateway.submit({"a": 1})
    has_arrived = problem.get("kind") in ("reset-after", "truncate")
    results = gateway.wait_for(lambda: (d := gateway.of("done", job_id))[3 if has_arrived else 0 :] and d)
    assert {r.body for r in results} == {b'{"output":{"a":1}}'}


def test_retry_after_is_honoured(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["done"].append(fault(status=429, headers={"Retry-After": "1"}))
    spawn(ECHO)
    job_id = gateway.submit(1)
    gateway.result(job_id)
    refused = gateway.of("failed")[0]
    assert gateway.of("done")[0].time - refused.time >= 1.0


def test_a_refused_connection_is_tried_again(gateway: Any, spawn: Any) -> None:
    nowhere = "http://127.0.0.1:9/v2/job-done/p/$ID?x=1"
    worker = spawn(ECHO, environ={**gateway.environ(), "NOVITA_WEBHOOK_POST_OUTPUT": nowhere})
    gateway.submit()
    worker.wait_for_log("did not get through.*trying again")
    worker.send_signal(signal.SIGKILL)


def test_progress_that_hangs_holds_a_result_up_only_for_seconds(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["progress"].append(fault(kind="hang"))
    spawn('def handler(job):\n    progress_update(job, 1)\n    return 2\nstart({"handler": handler})\n')
    assert gateway.result(gateway.submit(), timeout=10) == {"output": 2}


def test_a_gateway_that_comes_back_finds_the_worker(scripted: Any, spawn: Any) -> None:
    with scripted() as first:
        environ, port = first.environ(), first.port
    worker = spawn(ECHO, environ=environ)
    worker.wait_for_log("asking for jobs failed")
    with scripted(port=port) as second:
        assert second.result(second.submit("back")) == {"output": "back"}
        worker.wait_for_log("asking for jobs works again")


def test_the_next_job_runs_while_a_result_is_held_up(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["done"].append(fault(kind="hang"))
    spawn(ECHO)
    gateway.submit("held up")
    gateway.wait_for(lambda: gateway.of("failed"))
    assert gateway.result(gateway.submit("next")) == {"output": "next"}


def test_a_permanent_refusal_is_answered_with_a_small_error(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["done"].append(fault(status=413, body="too big for us"))
    worker = spawn(ECHO)
    result = gateway.result(gateway.submit("x" * 1000))
    error = json.loads(result["error"])
    assert error["code"] == "OUTPUT_REFUSED"
    assert "413" in error["error_message"]
    assert "too big for us" in error["error_message"]
    worker.wait_for_log("refused the result of job j1")
    assert gateway.result(gateway.submit("still alive")) == {"output": "still alive"}


@pytest.mark.parametrize("status", [301, 303, 308, 401, 403])
def test_a_refused_key_or_a_redirect_is_no_refusal_of_the_result(
    gateway: Any, spawn: Any, fault: Any, status: int
) -> None:
    gateway.faults["done"].extend([fault(status=status, headers={"Location": "/login"})] * 3)
    worker = spawn(ECHO)
    job_id = gateway.submit("kept")
    assert gateway.result(job_id) == {"output": "kept"}
    worker.wait_for_log(f"HTTP {status} scripted.*trying again")


def test_a_refused_error_is_not_repeated(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["done"].extend([fault(status=400)] * 2)
    spawn(ECHO)
    gateway.submit(1)
    gateway.wait_for(lambda: len(gateway.of("failed", "j1")) == 2)
    assert gateway.result(gateway.submit(2)) == {"output": 2}
    assert gateway.of("done", "j1") == []


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ("{'image': b'png'}", "output.image is bytes"),
        ("{'a': [1, float('nan')]}", "output.a[1] is nan"),
        ("{'a': '\\ud800'}", "output.a holds a lone surrogate"),
        ("{'a': object()}", "output.a is of type object"),
    ],
)
@pytest.mark.parametrize("how", ["return", "yield"])
def test_an_output_that_json_cannot_hold_fails_the_job_and_names_the_path(
    gateway: Any, spawn: Any, value: str, path: str, how: str
) -> None:
    spawn(f'def handler(job):\n    {how} {value}\nstart({{"handler": handler}})\n')
    error = json.loads(gateway.result(gateway.submit())["error"])
    assert path in error["error_message"]
    assert error["code"] == "INVALID_OUTPUT"


def test_a_cycle_fails_the_job(gateway: Any, spawn: Any) -> None:
    spawn('def handler(job):\n    a = []\n    a.append(a)\n    return {"a": a}\nstart({"handler": handler})\n')
    assert "output.a[0]" in json.loads(gateway.result(gateway.submit())["error"])["error_message"]


def test_an_output_over_the_limit_fails_the_job_and_names_size_and_limit(gateway: Any, spawn: Any) -> None:
    spawn('def handler(job):\n    return "x" * job["input"]\nstart({"handler": handler})\n')
    limit = 4 * 1024 * 1024
    assert gateway.result(gateway.submit(limit - 2)) == {"output": "x" * (limit - 2)}
    error = json.loads(gateway.result(gateway.submit(limit - 1))["error"])
    assert "4,194,305 bytes" in error["error_message"]
    assert "4,194,304 bytes" in error["error_message"]
    assert error["code"] == "OUTPUT_TOO_LARGE"


def test_a_chunk_that_is_refused_fails_the_job_and_ends_the_generator(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["stream"].append(fault(status=413))
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


def test_a_slow_link_does_not_stall_a_generator(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["stream"].append(fault(status=429, headers={"Retry-After": "1"}))
    spawn(
        """
        def handler(job):
            began = time.monotonic()
            for i in range(200):
                yield i
            progress_update(job, time.monotonic() - began)
            yield time.monotonic() - began
        start({"handler": handler})
        """
    )
    job_id = gateway.submit()
    gateway.result(job_id)
    chunks = [c.json["output"] for c in gateway.of("stream", job_id)]
    assert chunks[:-1] == list(range(200))
    assert chunks[-1] < 0.5


def test_a_generator_that_is_far_ahead_waits(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["stream"].append(fault(status=429, headers={"Retry-After": "2"}))
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
    gateway.wait_for(lambda: gateway.of("failed"))
    worker.wait_for_log("made 7")
    assert "made 10\n" not in worker.stderr
    gateway.result(job_id)
    assert len(gateway.of("stream", job_id)) == 40


def test_progress_is_sent_at_most_every_interval_and_the_newest_wins(gateway: Any, spawn: Any) -> None:
    spawn(
        """
        def handler(job):
            for i in range(1000):
                progress_update(job, i)
                time.sleep(0.001)
            return "end"
        start({"handler": handler, "progress_interval": 0.3})
        """
    )
    job_id = gateway.submit()
    gateway.result(job_id)
    reports = gateway.of("progress", job_id)
    values = [r.json["output"] for r in reports]
    assert values == sorted(values)
    assert 2 <= len(values) <= 8
    assert all(b.time - a.time > 0.2 for a, b in itertools.pairwise(reports))
    gateway.wait_for(lambda: len(gateway.of("take")) > 1)
    assert gateway.requests.index(reports[-1]) < gateway.requests.index(gateway.of("done", job_id)[0])


def test_progress_never_blocks_the_handler(gateway: Any, spawn: Any, fault: Any) -> None:
    gateway.faults["progress"].append(fault(kind="hang"))
    spawn(
        """
        def handler(job):
            began = time.monotonic()
            for i in range(10_000):
                progress_update(job, i)
            return time.monotonic() - began
        start({"handler": handler})
        """
    )
    assert gateway.result(gateway.submit())["output"] < 2.0


def test_an_unwritable_progress_is_logged_and_the_job_goes_on(gateway: Any, spawn: Any) -> None:
    worker = spawn(
        'def handler(job):\n    progress_update(job, {"x": b""})\n    return 1\nstart({"handler": handler})\n'
    )
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    worker.wait_for_log("progress not sent: progress.x is bytes")


def test_the_same_job_handed_out_twice_runs_once(gateway: Any, spawn: Any) -> None:
    spawn(
        """
        count = 0
        def handler(job):
            global count
            count += 1
            time.sleep(0.3)
            return count
        start({"handler": handler, "concurrency": 2})
        """
    )
    job = {"id": "twice", "input": {}}
    gateway.offer(job)
    gateway.offer(job)
    assert gateway.result("twice") == {"output": 1}
    gateway.submit()
    gateway.result("j1")
    assert len(gateway.of("done", "twice")) == 1


@pytest.mark.parametrize("limit", ["1" + "0" * 400, "1e308", "Infinity", "NaN", "true", '"5"', "-1", "[]"])
def test_a_time_limit_that_makes_no_sense_is_none(gateway: Any, spawn: Any, fault: Any, limit: str) -> None:
    job = f'{{"id": "odd", "input": 1, "policy": {{"executionTimeout": {limit}}}}}'
    gateway.faults["take"].append(fault(status=200, body=job))
    spawn(ECHO)
    assert gateway.result("odd") == {"output": 1}
    assert gateway.result(gateway.submit(2)) == {"output": 2}


def test_a_job_without_input_is_failed_and_one_without_id_skipped(gateway: Any, spawn: Any) -> None:
    worker = spawn(ECHO)
    gateway.offer({"input": 1})
    gateway.offer({"id": "no-input"})
    assert json.loads(gateway.result("no-input")["error"])["code"] == "INVALID_JOB"
    worker.wait_for_log("it has no id")
    assert gateway.result(gateway.submit(None)) == {"output": None}
