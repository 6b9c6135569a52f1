"""Stop orders, time limits, signals, recycling: how jobs and workers end early."""

from __future__ import annotations

import json
import signal
import time

import pytest

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import START, Spawn

LOOPING = {
    "sync progress": """
        def handler(job):
            try:
                while True:
                    progress_update(job, "working")
                    time.sleep(0.01)
            except Exception:
                logging.warning("swallowed")
            finally:
                logging.warning("cleaned up")
        """,
    "sync checkpoint": """
        def handler(job, context):
            context.progress(message="working")
            try:
                while not context.cancelled:
                    time.sleep(0.01)
                context.checkpoint()
            finally:
                logging.warning("cleaned up")
        """,
    "async": """
        async def handler(job):
            progress_update(job, "working")
            try:
                await asyncio.sleep(60)
            finally:
                logging.warning("cleaned up")
        """,
    "generator": """
        def handler(job):
            progress_update(job, "working")
            try:
                while True:
                    time.sleep(0.01)
                    yield 1
            finally:
                logging.warning("cleaned up")
        """,
    "async generator": """
        async def handler(job):
            progress_update(job, "working")
            try:
                while True:
                    await asyncio.sleep(0.01)
                    yield 1
            finally:
                logging.warning("cleaned up")
        """,
    "track": """
        def handler(job, context):
            try:
                for _ in context.track(range(10**9)):
                    time.sleep(0.01)
            finally:
                logging.warning("cleaned up")
        """,
}
HOLDS_FIRST = """
    def handler(job):
        if job["input"]:
            hold(job["input"])
        return 1
    """


@pytest.mark.parametrize("kind", LOOPING)
def test_a_stopped_job_ends_and_posts_nothing_more(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    worker = spawn(LOOPING[kind] + START)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id) and gateway.of("stop"))
    gateway.stop(job_id)
    worker.wait_for_log("cleaned up")
    assert "swallowed" not in worker.stderr
    next_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", next_id))
    assert gateway.of("done") == []
    gateway.wait_for(lambda: any(ping.query.endswith(f"job_id={next_id}") for ping in gateway.of("ping")))


@pytest.mark.parametrize("kind", ["async", "async generator"])
def test_a_job_on_a_loop_of_its_own_can_be_stopped_too(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    worker = spawn(LOOPING[kind] + 'start({"handler": handler, "own_loop": True})')
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id) and gateway.of("stop"))
    gateway.stop(job_id)
    worker.wait_for_log("cleaned up")


def test_a_job_that_is_stopped_before_its_first_step_gives_its_slot_back(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        async def handler(job):
            logging.warning("%s begins", job["input"])
            if job["input"] == "first":
                progress_update(job, "working")
                # In its way until the stop order was heard, which the stopped job itself can't tell.
                while not any(c.cancelled for c in novita_worker.handlers.context.running_contexts.values()):
                    time.sleep(0.01)
        start({"handler": handler, "concurrency": 2})
        """
    )
    first = gateway.submit("first")
    gateway.wait_for(lambda: gateway.of("progress", first) and gateway.of("stop"))
    second = gateway.submit("second")
    gateway.wait_for(lambda: any(second in ping.query for ping in gateway.of("ping")))
    gateway.stop(second)
    gateway.result(first)
    gateway.wait_for(lambda: gateway.of("ping")[-1].query == "gpu=A+B")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert "second begins" not in worker.stderr
    assert not gateway.of("done", second)


def test_cancel_hooks_run_and_see_their_job(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        def handler(job, context):
            context.on_cancel(lambda: logging.warning("hook of the job"))
            context.on_cancel(lambda: 1 / 0)
            context.progress(message="working")
            while not context.cancelled:
                time.sleep(0.01)
        """
        + START
    )
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id) and gateway.of("stop"))
    gateway.stop(job_id)
    worker.wait_for_log(f"job={job_id}.*hook of the job")
    worker.wait_for_log("an on_cancel hook failed")


def test_a_stop_order_for_a_prefetched_job_keeps_it_from_starting(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(HOLDS_FIRST + 'start({"handler": handler, "prefetch": 1})')
    slow, held = gateway.submit("go"), gateway.submit()
    gateway.wait_for(lambda: any(held in ping.query for ping in gateway.of("ping")) and gateway.of("stop"))
    gateway.stop(held)
    gateway.wait_for(lambda: len(gateway.of("stop")) > 1)
    worker.let_go()
    gateway.result(slow)
    gateway.result(gateway.submit())
    assert gateway.of("done", held) == []


@pytest.mark.parametrize("status", [404, 405])
def test_a_gateway_without_the_stop_route_is_asked_once(gateway: WorkerGateway, spawn: Spawn, status: int) -> None:
    gateway.faults["stop"].extend([Fault(status=status)] * 100)
    worker = spawn("def handler(job):\n    time.sleep(0.2)\n    return 1\n" + START)
    for _ in range(3):
        gateway.result(gateway.submit())
    assert len(gateway.of("failed")) == 1
    assert "stop" not in worker.stderr


def test_what_is_no_id_does_not_spoil_a_stop_order(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(LOOPING["async"] + START)
    for text in ("[", '{"jobsToStop": "%s"}', '{"jobsToStop": [5, "%s", null]}'):
        gateway.faults["stop"].append(Fault(status=200, body=text.replace("%s", "j1")))
    gateway.submit()
    worker.wait_for_log("cleaned up")
    assert not gateway.faults["stop"]


@pytest.mark.parametrize("kind", ["sync progress", "async", "generator"])
def test_a_job_that_runs_too_long_fails(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    worker = spawn(LOOPING[kind] + 'start({"handler": handler, "job_timeout": 0.5})')
    error = json.loads(gateway.result(gateway.submit())["error"])
    assert error["code"] == "TIMEOUT"
    assert "0.5 s" in error["error_message"]
    worker.wait_for_log("cleaned up")
    assert "error" in gateway.result(gateway.submit())


def test_a_jobs_own_limit_counts_if_it_is_shorter(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(LOOPING["async"] + 'start({"handler": handler, "job_timeout": 60})')
    job_id = gateway.submit(policy={"executionTimeout": 300})
    assert "0.3 s" in json.loads(gateway.result(job_id)["error"])["error_message"]


def test_a_handler_that_ignores_its_time_limit_costs_the_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def handler(job):\n    time.sleep(600)\n" + 'start({"handler": handler, "job_timeout": 0.3})')
    assert json.loads(gateway.result(gateway.submit())["error"])["code"] == "TIMEOUT"
    assert worker.wait() == 1
    worker.wait_for_log("did not end")


@pytest.mark.parametrize("kind", ["sync progress", "async"])
def test_jobs_that_outlast_the_drain_are_cancelled_and_failed(gateway: WorkerGateway, spawn: Spawn, kind: str) -> None:
    worker = spawn(LOOPING[kind] + 'start({"handler": handler, "shutdown_timeout": 0.3})')
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id))
    worker.send_signal(signal.SIGTERM)
    error = json.loads(gateway.result(job_id)["error"])
    assert "shutting down" in error["error_message"]
    assert worker.wait() == 0
    assert "cleaned up" in worker.stderr


def test_a_second_signal_forces_the_end_even_in_native_code(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        import ctypes
        def handler(job):
            progress_update(job, 1)
            ctypes.CDLL(None).sleep(600)  # no Python signal handler runs in there
        """
        + START
    )
    gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress"))
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_log("a second signal")
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 128 + signal.SIGTERM


def test_a_thread_that_an_async_job_left_behind_does_not_keep_the_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        async def handler(job):
            progress_update(job, "working")
            await asyncio.to_thread(time.sleep, 600)
        start({"handler": handler, "shutdown_timeout": 0.1})
        """
    )
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("progress", job_id))
    worker.send_signal(signal.SIGTERM)
    assert "shutting down" in gateway.result(job_id)["error"]
    assert worker.wait() == 1
    worker.wait_for_log("what handlers left running in the background does not end")


def test_a_job_that_arrives_during_shutdown_is_run(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def handler(job):\n    return 'ran'\n" + START)
    gateway.wait_for(lambda: gateway.of("take"))
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_log("taking no more jobs")
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"output": "ran"}
    assert worker.wait() == 0
    assert len(gateway.of("take")) == 1


def test_held_jobs_are_finished_at_shutdown(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(HOLDS_FIRST + 'start({"handler": handler, "prefetch": 1})')
    slow, held = gateway.submit("go"), gateway.submit()
    gateway.wait_for(lambda: any(held in ping.query for ping in gateway.of("ping")))
    worker.send_signal(signal.SIGTERM)
    worker.wait_for_log("taking no more jobs")
    worker.let_go()
    assert gateway.result(slow) == gateway.result(held) == {"output": 1}
    assert worker.wait() == 0


def test_results_are_flushed_before_the_end(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["done"].extend([Fault(status=503)] * 3)
    worker = spawn("def handler(job):\n    return 'kept'\n" + START)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("failed"))
    worker.send_signal(signal.SIGTERM)
    assert gateway.result(job_id) == {"output": "kept"}
    assert worker.wait() == 0


def test_a_worker_that_cannot_reach_the_network_at_all_ends(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        import resource
        def handler(job):
            return 1
        import novita_worker._worker, novita_worker.link.http, uvloop  # what is loaded later needs descriptors too
        used = len(os.listdir("/dev/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 6, used + 6))
        start({"handler": handler})
        """
    )
    assert worker.wait() == 1
    assert "Too many open files" in worker.stderr
    assert gateway.of("take") == []


def test_nothing_is_left_behind(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def handler(job):\n    return 1\n" + START)
    gateway.result(gateway.submit())
    gateway.wait_for(lambda: gateway.of("ping"))
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    pings = len(gateway.of("ping"))
    assert sorted(path.name for path in worker.log.parent.iterdir()) == ["handler.py", "stderr.txt"]
    time.sleep(1.2)  # a ping's interval: there is nothing to wait for if all is well
    assert len(gateway.of("ping")) == pings
