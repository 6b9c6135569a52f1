"""What breaks a worker ends it, to be replaced, and what only one job meets does not."""

from __future__ import annotations

import json

import pytest

from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import START, Spawn


@pytest.mark.parametrize("config", ['"refresh_worker": True', '"max_jobs": 1', '"max_rss_mb": 1'])
def test_a_worker_recycles_itself_after_a_job(gateway: WorkerGateway, spawn: Spawn, config: str) -> None:
    worker = spawn(f'def handler(job):\n    return {{"ran": 1}}\nstart({{"handler": handler, {config}}})\n')
    jobs = [gateway.submit(), gateway.submit()]
    body = gateway.result(jobs[0])
    assert body == {"output": {"ran": 1}, **({"stopPod": True} if "refresh" in config else {})}
    assert worker.wait() == 0
    assert gateway.of("done", jobs[1]) == []
    assert len(gateway.of("take")) == 1


def test_a_handler_can_ask_for_a_fresh_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def handler(job):\n    return {'refresh_worker': True, 'x': 1}\n" + START)
    assert gateway.result(gateway.submit()) == {"output": {"x": 1}, "stopPod": True}
    assert worker.wait() == 0


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        ("sys.exit(3)", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise RuntimeError('CUDA error: an illegal memory access was encountered')", "RuntimeError"),
        ("raise RuntimeError('CUDA error: device-side assert triggered')", "RuntimeError"),
    ],
)
def test_what_breaks_the_process_fails_the_job_and_recycles_the_worker(
    gateway: WorkerGateway, spawn: Spawn, raised: str, kind: str
) -> None:
    worker = spawn(f"def handler(job):\n    {raised}\n" + START)
    body = gateway.result(gateway.submit())
    assert kind in json.loads(body["error"])["error_type"]
    assert body["stopPod"] is True
    assert worker.wait() == 1


ONE_JOBS_OWN = ["asyncio.CancelledError()", "JobCancelled('by itself')", "GeneratorExit()", "Own()", "Mute()"]


@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_what_only_one_job_meets_costs_nobody_else(gateway: WorkerGateway, spawn: Spawn, keyword: str) -> None:
    spawn(
        f"""
        class Own(BaseException):
            pass
        class Mute(Exception):
            def __str__(self):
                raise RuntimeError("no words")
        {keyword} handler(job):
            if job["input"]:
                raise eval(job["input"])
            return "next"
        """
        + START
    )
    for raised in ONE_JOBS_OWN:
        body = gateway.result(gateway.submit(raised))
        assert "stopPod" not in body
        assert "in handler" in json.loads(body["error"])["error_traceback"]
        assert gateway.result(gateway.submit(None)) == {"output": "next"}


def test_running_out_of_gpu_memory_does_not_recycle_the_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn("def handler(job):\n    raise RuntimeError('CUDA out of memory. Tried to allocate 2.00 GiB')\n" + START)
    assert "stopPod" not in gateway.result(gateway.submit())
    assert "error" in gateway.result(gateway.submit())


@pytest.mark.parametrize("rude", ["sys.exit(3)", "asyncio.get_running_loop().stop()"])
def test_a_task_that_breaks_the_loop_loses_no_result_and_recycles_the_worker(
    gateway: WorkerGateway, spawn: Spawn, rude: str
) -> None:
    worker = spawn(
        f"""
        async def rude():
            {rude}
        async def handler(job):
            task = asyncio.create_task(rude())
            await asyncio.sleep(0.1)
            return "done"
        start({{"handler": handler}})
        """
    )
    assert gateway.result(gateway.submit()) == {"output": "done"}
    assert worker.wait() == 1
