"""A result on disk outlives its worker at whatever step that is killed."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.waiting import eventually
from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import ECHO, Spawn

STEPS = {
    "before the post arrives": Fault(kind="hang"),
    "after the post arrived, before the acknowledgement": Fault(kind="reset-after"),
    "while the gateway is failing": Fault(status=503),
}


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_worker_loses_no_result(gateway: WorkerGateway, spawn: Spawn, spool: Path, step: str) -> None:
    script = (
        f'def handler(job):\n    return {{"paid": "for"}}\nstart({{"handler": handler, "spool_dir": {str(spool)!r}}})\n'
    )
    gateway.faults["done"].extend([STEPS[step]] * 100)
    first = spawn(script)
    job_id = gateway.submit({"paid": "for"})
    gateway.wait_for(lambda: gateway.of("failed", job_id) or gateway.of("done", job_id))
    first.send_signal(signal.SIGKILL)
    first.wait()
    arrived = len(gateway.of("done", job_id))
    gateway.faults["done"].clear()
    second = spawn(script)
    results = gateway.wait_for(lambda: (d := gateway.of("done", job_id))[arrived:] and d)
    assert {r.body for r in results} == {b'{"output":{"paid":"for"}}'}
    assert {r.query for r in results} == {"gpu=A+B&isStream=false"}
    gateway.result(gateway.submit())
    second.end()
    assert list(spool.iterdir()) == []


@pytest.mark.parametrize("said", ["in the configuration", "in the environment"])
def test_a_relative_folder_is_the_one_of_the_start(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path, said: str
) -> None:
    config = '"spool_dir": "spool"' if "configuration" in said else ""
    variables = {} if config else {"NOVITA_SPOOL_DIR": "spool"}
    script = f"""
        def handler(job):
            os.chdir("/")
            return 1
        start({{"handler": handler, {config}}})
        """
    gateway.faults["done"].extend([Fault(kind="hang")] * 100)
    worker = spawn(script, environ={**gateway.environ(), **variables})
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("failed", job_id))
    assert list((tmp_path / "worker0" / "spool").glob("*/*.result"))
    assert "spool" not in worker.stderr


def test_a_result_is_on_disk_before_its_first_post(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str]
) -> None:
    gateway.faults["done"].append(Fault(kind="hang"))
    worker = spawn(ECHO, environ=environ)
    gateway.submit({"a": 1})
    gateway.wait_for(lambda: gateway.of("failed"))
    (file,) = spool.glob("*/*.result")
    assert b'result {"output":{"a":1}}' in file.read_bytes()
    worker.send_signal(signal.SIGKILL)


def test_chunks_that_were_not_delivered_survive_a_kill_too(gateway: WorkerGateway, spawn: Spawn, spool: Path) -> None:
    script = (
        "def handler(job):\n    yield from range(5)\n    logging.warning('all made')\n"
        f'start({{"handler": handler, "spool_dir": {str(spool)!r}}})\n'
    )
    gateway.faults["stream"].extend([Fault(status=503)] * 100)
    first = spawn(script)
    job_id = gateway.submit()
    first.wait_for_log("all made")
    eventually(lambda: list(spool.glob("*/*.result")))
    first.send_signal(signal.SIGKILL)
    first.wait()
    gateway.faults["stream"].clear()
    spawn(script)
    assert gateway.result(job_id) == {"output": []}
    assert [c.json["output"] for c in gateway.of("stream", job_id)] == [0, 1, 2, 3, 4]


# Every step of a result's way, each with a kill before and after it. From the rename on, it is on disk or delivered.
WAY = {
    "the draft is opened": ("pathlib.Path", "open", 1),
    "the draft is on disk": ("os", "fsync", 1),
    "the draft becomes the result": ("pathlib.Path", "replace", 1),
    "the folder is on disk": ("os", "fsync", 2),
    "the result is posted": ("novita_worker.link.http.HttpCalls", "post", 1),
    "the result is removed": ("pathlib.Path", "unlink", 2),
}
KILLER = """
    import importlib, inspect, pathlib
    import novita_worker.link.http
    def strike(where, name, number, moment):
        module, _, owner = where.rpartition(".")
        owner = getattr(importlib.import_module(module), owner) if module else importlib.import_module(owner)
        real, count = getattr(owner, name), 0
        def die():
            os.kill(os.getpid(), 9)
        def due():
            nonlocal count
            count += 1
            return count == number
        def call(*args, **kwargs):
            is_due = due()
            if is_due and moment == "before":
                die()
            result = real(*args, **kwargs)
            if is_due:
                die()
            return result
        async def call_async(*args, **kwargs):
            is_due = due()
            if is_due and moment == "before":
                die()
            result = await real(*args, **kwargs)
            if is_due:
                die()
            return result
        setattr(owner, name, call_async if inspect.iscoroutinefunction(real) else call)
    """


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", WAY)
def test_a_kill_at_any_step_loses_no_result(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str], step: str, moment: str
) -> None:
    first = spawn(
        KILLER
        + f"""
    def handler(job):
        strike(*{WAY[step]!r}, {moment!r})
        return "paid for"
    start({{"handler": handler}})
    """,
        environ=environ,
    )
    job_id = gateway.submit()
    assert first.wait() == -signal.SIGKILL
    arrived = len(gateway.of("done", job_id))
    steps = [(name, when) for name in WAY for when in ("before", "after")]
    place = steps.index((step, moment))
    assert arrived == (place >= steps.index(("the result is posted", "after")))
    is_kept = steps.index(("the draft becomes the result", "after")) <= place < len(steps) - 1
    assert len(list(spool.glob("*/*.result"))) == is_kept
    eventually(lambda: gateway.parked == 0)
    second = spawn(ECHO, environ=environ)
    if is_kept:
        gateway.wait_for(lambda: len(gateway.of("done", job_id)) > arrived)
    elif not arrived:
        # Neither the disk nor the gateway has it; the gateway offers a job again whose worker is gone.
        gateway.offer({"id": job_id, "input": "paid for"})
        gateway.result(job_id)
    gateway.result(gateway.submit())
    second.end()
    assert {r.body for r in gateway.of("done", job_id)} == {b'{"output":"paid for"}'}
    assert len(gateway.of("done", job_id)) == arrived + (is_kept or not arrived)
    assert list(spool.iterdir()) == []


def test_chunks_that_were_acknowledged_are_not_posted_again(
    gateway: WorkerGateway, spawn: Spawn, spool: Path, environ: dict[str, str]
) -> None:
    script = (
        "def handler(job):\n    yield from range(6)\n    logging.warning('all made')\nstart({'handler': handler})\n"
    )
    gateway.faults["stream"].extend([Fault(status=503)] * 1000)
    first = spawn(script, environ=environ)
    job_id = gateway.submit()
    first.wait_for_log("all made")
    eventually(lambda: list(spool.glob("*/*.result")))
    gateway.faults["done"].append(Fault(kind="hang"))
    gateway.faults["stream"].clear()
    gateway.wait_for(lambda: any(r.body == b'{"output":[]}' for r in gateway.of("failed", job_id)))
    first.send_signal(signal.SIGKILL)
    first.wait()
    spawn(script, environ=environ)
    assert gateway.result(job_id) == {"output": []}
    assert [c.json["output"] for c in gateway.of("stream", job_id)] == [0, 1, 2, 3, 4, 5]


def test_a_forked_process_that_outlives_the_worker_keeps_no_result_back(
    gateway: WorkerGateway, spawn: Spawn, tmp_path: Path, environ: dict[str, str]
) -> None:
    gateway.faults["done"].append(Fault(kind="hang"))
    first = spawn(
        f"""
        import warnings
        warnings.simplefilter("ignore")
        def handler(job):
            child = os.fork()
            if child == 0:
                time.sleep(600)
            open({str(tmp_path / "child")!r}, "w").write(str(child))
            return "kept"
        start({{"handler": handler}})
        """,
        environ=environ,
    )
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("failed", job_id))
    first.send_signal(signal.SIGKILL)
    first.wait()
    child = int((tmp_path / "child").read_text())
    try:
        spawn(ECHO, environ=environ)
        assert gateway.result(job_id) == {"output": "kept"}
        os.kill(child, 0)  # it is still there
    finally:
        os.kill(child, signal.SIGKILL)


def test_the_next_process_delivers_with_its_own_key(
    gateway: WorkerGateway, spawn: Spawn, environ: dict[str, str]
) -> None:
    gateway.faults["done"].extend([Fault(status=401)] * 1000)
    first = spawn(ECHO, environ=environ)
    job_id = gateway.submit("kept")
    gateway.wait_for(lambda: len(gateway.of("failed", job_id)) >= 3)
    first.send_signal(signal.SIGKILL)
    first.wait()
    gateway.faults["done"].clear()
    spawn(ECHO, environ={**environ, "NOVITA_AI_API_KEY": "ROTATED"})
    assert gateway.result(job_id) == {"output": "kept"}
    assert gateway.of("done", job_id)[0].headers["Authorization"] == "ROTATED"
