"""Jobs run when there is a slot, and nothing holds up what it need not."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from tests.support.processes import proc
from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import Spawn

# Jobs with the input "meet" end when as many run as are to, and every job tells the most that ever ran at once.
MEETING = {
    "sync": """
        running = most = 0
        lock, barrier = threading.Lock(), None
        def handler(job):
            global running, most, barrier
            with lock:
                barrier = barrier or threading.Barrier(job["input"] or 1)
                running += 1
                most = max(most, running)
            if job["input"]:
                barrier.wait(60)
            with lock:
                running -= 1
            return most
        """,
    "async": """
        running = most = 0
        barrier = None
        async def handler(job):
            global running, most, barrier
            barrier = barrier or asyncio.Barrier(job["input"] or 1)
            running += 1
            most = max(most, running)
            if job["input"]:
                await barrier.wait()
            running -= 1
            return most
        """,
}
HOLDING = {
    "sync": """
        def handler(job):
            if job["input"]:
                hold(job["input"])
            return "done"
        """,
    "async": """
        async def handler(job):
            await asyncio.sleep(0)
            if job["input"]:
                hold(job["input"])
            return "done"
        """,
}


@pytest.mark.parametrize("kind", MEETING)
@pytest.mark.parametrize("single", [False, True], ids=["batches", "single jobs"])
def test_jobs_run_at_once_up_to_the_concurrency(gateway: WorkerGateway, spawn: Spawn, kind: str, single: bool) -> None:
    gateway.single = single
    spawn(MEETING[kind] + 'start({"handler": handler, "concurrency": 4})')
    jobs = [gateway.submit(4) for _ in range(8)]
    assert {gateway.result(job_id)["output"] for job_id in jobs} == {4}


def test_a_gateway_without_the_batch_route_is_asked_for_single_jobs(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.missing.add("batch")
    spawn(MEETING["sync"] + 'start({"handler": handler, "concurrency": 4})')
    jobs = [gateway.submit(4) for _ in range(4)]
    assert {gateway.result(job_id)["output"] for job_id in jobs} == {4}


def test_the_next_take_goes_out_with_the_result_not_after_it(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["done"].append(Fault(kind="hang"))
    spawn(HOLDING["sync"] + 'start({"handler": handler})')
    gateway.submit()
    gateway.wait_for(lambda: gateway.of("failed") and len(gateway.of("take")) == 2)


def test_a_busy_worker_does_not_take_more_than_it_can_run(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(HOLDING["sync"] + 'start({"handler": handler})')
    jobs = [gateway.submit("go"), gateway.submit()]
    # Two pings are time enough to ask for the second job.
    gateway.wait_for(lambda: len([ping for ping in gateway.of("ping") if jobs[0] in ping.query]) >= 2)
    assert len(gateway.of("take")) == 1
    worker.let_go()
    gateway.result(jobs[1])
    assert gateway.of("batch") == []


def test_a_prefetched_job_is_ready_and_pinged_while_another_runs(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(HOLDING["sync"] + 'start({"handler": handler, "prefetch": 1})')
    jobs = [gateway.submit("go"), gateway.submit("second"), gateway.submit()]
    held = f"job_id={jobs[0]}%2C{jobs[1]}"
    gateway.wait_for(lambda: any(held in ping.query for ping in gateway.of("ping")))
    assert all(jobs[2] not in ping.query for ping in gateway.of("ping"))
    # Nothing that the gateway still says is needed for it to start.
    gateway.faults["done"].append(Fault(kind="hang"))
    gateway.faults["take"].extend([Fault(kind="hang")] * 10)
    worker.let_go()
    gateway.wait_for(lambda: gateway.of("failed", jobs[0]))
    worker.let_go("second")
    gateway.result(jobs[1])
    assert gateway.of("done", jobs[0]) == []


@pytest.mark.parametrize("kind", HOLDING)
def test_a_handler_that_blocks_delays_no_result(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    worker = spawn(HOLDING[kind] + 'start({"handler": handler, "concurrency": 2})')
    quick, slow = gateway.submit(), gateway.submit("go")
    gateway.result(quick)
    assert gateway.of("done", slow) == []
    worker.let_go()
    gateway.result(slow)


def test_async_handlers_on_loops_of_their_own_wait_for_nobody(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(HOLDING["async"] + 'start({"handler": handler, "concurrency": 2, "own_loop": True})')
    slow, quick = gateway.submit("go"), gateway.submit()
    gateway.result(quick)
    assert gateway.of("done", slow) == []
    worker.let_go()
    gateway.result(slow)


def test_a_job_that_waits_for_a_blocked_loop_says_where(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        async def handler(job):
            if job["input"]:
                progress_update(job, "blocks")
                hold()
        start({"handler": handler, "concurrency": 2})
        """
    )
    slow = gateway.submit(1)
    gateway.wait_for(lambda: gateway.of("progress", slow))
    quick = gateway.submit()
    worker.wait_for_log(rf"job {quick} waits: another one blocks the event loop at .*handler.py:\d+")
    worker.let_go()
    gateway.result(quick)


def test_a_sync_handler_at_concurrency_one_runs_in_the_main_thread(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn("def handler(job): return threading.current_thread().name\nstart({'handler': handler})\n")
    assert gateway.result(gateway.submit()) == {"output": "MainThread"}


def test_handlers_in_threads_see_the_callers_context(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        import contextvars
        model = contextvars.ContextVar("model")
        model.set("loaded")
        def handler(job):
            return [model.get(), threading.current_thread() is threading.main_thread()]
        start({"handler": handler, "concurrency": 2})
        """
    )
    assert gateway.result(gateway.submit()) == {"output": ["loaded", False]}


def test_jobs_run_in_the_main_thread_where_there_are_no_others(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(job):
            threading.stack_size(2**46)  # which no system has, so that no more threads start
            return 1
        start({"handler": handler, "concurrency": 4})
        """
    )
    gateway.result(gateway.submit())
    jobs = [gateway.submit() for _ in range(8)]
    assert [gateway.result(job_id) for job_id in jobs] == [{"output": 1}] * 8


def test_a_reply_that_came_while_a_handler_held_the_gil_is_read(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.park = 60.0
    worker = spawn(
        """
        import ctypes
        import novita_worker.link.http
        novita_worker.link.http.TAKE_TIMEOUT = 1.0
        os.mkfifo("release")
        def handler(job):
            if job["input"]:
                while not os.path.exists("parked"):
                    time.sleep(0.01)
                ctypes.PyDLL(None).system(b"echo held >&2; cat release >&2")  # PyDLL keeps the GIL
            return job["input"]
        start({"handler": handler, "concurrency": 2})
        """
    )
    holder = gateway.submit(1)
    gateway.wait_for(lambda: gateway.of("take") and gateway.of("stop"))
    (worker.log.parent / "parked").touch()
    worker.wait_for_log("held")
    next_job = gateway.submit(0)
    time.sleep(2.0)  # the take is late by now, and so is every call
    (worker.log.parent / "release").write_text("released")
    assert gateway.result(next_job) == {"output": 0}
    assert gateway.result(holder) == {"output": 1}


def test_the_modifier_is_honoured_before_the_first_take_and_after_every_job(
    gateway: WorkerGateway, spawn: Spawn
) -> None:
    spawn(
        MEETING["sync"]
        + """
        calls = []
        def modifier(current):
            calls.append(current)
            return 1 if len(calls) > 2 else 3
        start({"handler": handler, "concurrency_modifier": modifier})
        """
    )
    gateway.wait_for(lambda: gateway.of("batch"))
    assert "batch_size=3" in gateway.of("batch")[0].query
    assert gateway.of("take") == []
    first = [gateway.submit(3) for _ in range(3)]
    assert {gateway.result(job_id)["output"] for job_id in first} == {3}
    while not gateway.of("take"):
        gateway.result(gateway.submit())
    batches = len(gateway.of("batch"))
    for job_id in [gateway.submit() for _ in range(3)]:
        gateway.result(job_id)
    assert len(gateway.of("batch")) == batches


def test_a_higher_concurrency_takes_effect_while_all_slots_are_busy(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        HOLDING["sync"]
        + """
        start({"handler": handler, "concurrency_modifier": lambda n: 2 if os.path.exists("more") else 1})
        """
    )
    slow, quick = gateway.submit("go"), gateway.submit()
    gateway.wait_for(lambda: gateway.of("stop"))
    worker.let_go("more")
    gateway.result(quick)
    assert gateway.of("done", slow) == []


@pytest.mark.parametrize("answer", ["None", "0", "-3", "'many'", "True", "1 / 0"])
def test_an_answer_that_makes_no_sense_is_logged_once_and_the_last_stays(
    gateway: WorkerGateway, spawn: Spawn, answer: str
) -> None:
    worker = spawn(
        MEETING["sync"] + f'start({{"handler": handler, "concurrency": 2, "concurrency_modifier": lambda n: {answer}}})'
    )
    jobs = [gateway.submit(2) for _ in range(4)]
    assert {gateway.result(job_id)["output"] for job_id in jobs} == {2}
    assert worker.stderr.count("concurrency_modifier") == 1


@pytest.mark.parametrize("fault", ["time.sleep(600)", "sys.exit(1)"])
def test_a_modifier_that_does_not_answer_holds_up_no_job(gateway: WorkerGateway, spawn: Spawn, fault: str) -> None:
    worker = spawn(
        HOLDING["sync"]
        + f"""
        calls = []
        def modifier(current):
            calls.append(current)
            if len(calls) > 1:
                {fault}
            return 2
        start({{"handler": handler, "concurrency_modifier": modifier}})
        """
    )
    for _ in range(4):
        gateway.result(gateway.submit())
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0


AT_ONCE: dict[str, dict[str, Any]] = {
    "empty": {"status": 204},
    "empty, as the platform says it": {"status": 400},
    "an error": {"status": 500},
    "a reset": {"kind": "reset"},
    "no object": {"status": 200, "body": "null"},
    "no job": {"status": 200, "body": "{}"},
    "no page": {"status": 200, "body": "<html>"},
    "no end": {"status": 200, "body": "[" * 100_000},
}


def takes_within(gateway: WorkerGateway, seconds: float) -> int:
    """How many takes came in the seconds after the first, one more at least."""
    first = gateway.wait_for(lambda: gateway.of("failed"))[0]
    gateway.wait_for(lambda: gateway.of("failed")[1:])
    time.sleep(seconds)
    return sum(1 for take in gateway.of("failed") if take.time <= first.time + seconds) + 1


@pytest.mark.parametrize("problem", AT_ONCE)
def test_a_gateway_that_answers_at_once_is_not_hammered(gateway: WorkerGateway, spawn: Spawn, problem: str) -> None:
    gateway.faults["take"].extend([Fault(**AT_ONCE[problem])] * 10_000)
    worker = spawn(HOLDING["sync"] + 'start({"handler": handler})')
    asked = takes_within(gateway, 1.5)
    assert 2 <= asked <= 15
    assert len(worker.stderr.splitlines()) <= 2 + 15 * (problem == "no object" or problem == "no job")
    gateway.faults["take"].clear()
    gateway.result(gateway.submit())


def test_a_gateway_that_hands_out_a_running_job_again_and_again_is_not_hammered(
    gateway: WorkerGateway, spawn: Spawn
) -> None:
    gateway.faults["batch"].append(Fault(status=200, body='{"id": "same", "input": "go"}'))
    gateway.faults["take"].extend([Fault(status=200, body='{"id": "same", "input": "go"}')] * 10_000)
    worker = spawn(HOLDING["sync"] + 'start({"handler": handler, "concurrency": 2})')
    assert takes_within(gateway, 1.5) <= 15
    gateway.faults["take"].clear()
    worker.let_go()
    gateway.result("same")
    assert len(gateway.of("done")) == 1


def test_an_idle_worker_keeps_one_take_parked_and_uses_no_cpu(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.park = 60.0
    worker = spawn(HOLDING["sync"] + 'start({"handler": handler, "concurrency": 8})')
    jobs = [gateway.submit() for _ in range(20)]
    for job_id in jobs:
        gateway.result(job_id)

    def cpu() -> float:
        fields = proc(worker.pid, "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    # Everything is at rest when the gateway has a take and the stop channel, and the heartbeat no more jobs.
    gateway.wait_for(lambda: gateway.of("ping") and gateway.of("ping")[-1].query == "gpu=A+B" and gateway.parked == 2)
    pings, requests, before = len(gateway.of("ping")), len(gateway.requests), cpu()
    gateway.wait_for(lambda: len(gateway.of("ping")) > pings + 3)
    assert cpu() - before <= 0.05
    assert {request.route for request in gateway.requests[requests:]} == {"ping"}
    assert gateway.parked == 2
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
