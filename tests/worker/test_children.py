"""What the processes that a handler starts say of its job, and ask about it, however they were started."""

from __future__ import annotations

import os
import signal
import tempfile
from pathlib import Path

import pytest

from novita_worker import progress_update
from novita_worker.process import child_calls
from novita_worker.testing import LocalWorker
from tests.support.waiting import eventually
from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import Spawn

MAIN = """
import multiprocessing, subprocess, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of every fork beside threads
from concurrent.futures import ProcessPoolExecutor
def run(way, child, argument):
    if way == "os.fork":
        if not (process := os.fork()):
            child(argument)
            os._exit(0)
        return os.waitpid(process, 0)[1]
    if way == "pool":
        with multiprocessing.get_context("fork").Pool(1) as pool:
            return pool.apply(child, (argument,))
    if way == "executor":
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            return pool.submit(child, argument).result()
    if way == "program":
        return subprocess.run([sys.executable, __file__, argument["id"]]).returncode
    process = multiprocessing.get_context(way).Process(target=child, args=(argument,))
    process.start()
    process.join()
    return process.exitcode
"""
WAYS = ["fork", "spawn", "forkserver", "os.fork", "pool", "executor"]
END = """
if __name__ == "__main__":
    start({"handler": handler, "progress_interval": 0})
"""


def reports(gateway: WorkerGateway, job_id: str) -> list[object]:
    return [request.json["output"] for request in gateway.of("progress", job_id)]


@pytest.mark.parametrize("way", [*WAYS, "program"])
def test_progress_of_a_child_arrives(gateway: WorkerGateway, spawn: Spawn, way: str) -> None:
    script = f"""
        def child(job):
            for step in range(4):
                progress_update(job, {{"step": step}})
        def handler(job):
            run({way!r}, child, job)
            hold()  # what is new when the result comes is not sent any more
            return "done"
        if sys.argv[1:]:
            child({{"id": sys.argv[1]}})
            sys.exit()
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    job_id = gateway.submit()
    gateway.wait_for(lambda: {"step": 3} in reports(gateway, job_id))
    worker.let_go()
    assert gateway.result(job_id) == {"output": "done"}
    seen = reports(gateway, job_id)
    assert seen == sorted(seen, key=str)
    assert "in process" not in worker.stderr
    worker.end()


@pytest.mark.parametrize("way", WAYS)
def test_a_child_with_the_context_reports_and_learns_that_its_job_is_to_end(
    gateway: WorkerGateway, spawn: Spawn, way: str
) -> None:
    script = f"""
        def child(context):
            for _ in context.track(range(2), description="in the child"):
                context.progress(fraction=0.5, message=str(context.attempt))
            while not context.cancelled:
                time.sleep(0.01)
            try:
                context.checkpoint()
            except JobCancelled as error:
                with open("ended", "w") as file:
                    file.write(str(error))
        def handler(job, context):
            run({way!r}, child, context)
            context.checkpoint()
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    job_id = gateway.submit(attempt=3)
    gateway.wait_for(lambda: {"fraction": 1.0, "message": "in the child", "data": {"done": 2, "total": 2}}
                     in reports(gateway, job_id))  # fmt: skip
    gateway.stop(job_id)
    ended = worker.log.parent / "ended"
    eventually(lambda: ended.exists() and ended.read_text() == "the job was stopped", lambda: worker.stderr)
    worker.end()


@pytest.mark.parametrize("end", ["the job is over", "the worker is killed"])
def test_children_learn_that_nobody_waits_for_them_any_more(gateway: WorkerGateway, spawn: Spawn, end: str) -> None:
    script = """
        def child(context, name):
            context.report(name)
            open(name, "w").close()
            while not context.cancelled:
                time.sleep(0.01)
            context.log.info("never sent")
            os.rename(name, name + "-ended")
        def handler(job, context):
            if job["input"]:
                return job["input"]
            for name in ("fork", "spawn", "fork2"):  # the last has the worker's ends of the others' connections
                process = multiprocessing.get_context(name.rstrip("2")).Process(target=child, args=(context, name))
                process.start()
                while not os.path.exists(name):
                    time.sleep(0.01)
            hold()
            multiprocessing.process._children.clear()  # as if a program of another kind: nobody joins them
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    job_id = gateway.submit()
    gateway.wait_for(lambda: len(reports(gateway, job_id)) == 3)
    if end == "the worker is killed":
        worker.send_signal(signal.SIGKILL)
    else:
        worker.let_go()
        gateway.result(job_id)
        assert gateway.result(gateway.submit(1)) == {"output": 1}
    for name in ("fork", "spawn", "fork2"):
        eventually((worker.log.parent / f"{name}-ended").exists, lambda: worker.stderr)


def test_children_leave_nothing_open(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        def child(context):
            context.report(os.getpid())
        def handler(job, context):
            for _ in range(job["input"]):
                run("fork", child, context)
            while (count := len(os.listdir("/dev/fd"))) > 200:
                pass
            return count
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    first = gateway.result(gateway.submit(1))["output"]
    assert gateway.result(gateway.submit(40))["output"] <= first + 3
    worker.end()


@pytest.mark.parametrize("text", ["b'wrong j1 1\\n'", "b'no words\\n'", "b'\\xff' * 100 + b'\\n'", "token + b' j1'"])
def test_what_is_no_call_is_hung_up_on(gateway: WorkerGateway, spawn: Spawn, text: str) -> None:
    script = f"""
        import socket
        def handler(job):
            token, address = os.environ["NOVITA_CHILD_CALLS"].encode().split(b" ")
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(address.replace(b"@", bytes(1)))
            connection.sendall({text})
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(100).decode()
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"output": ""}
    assert reports(gateway, job_id) == []
    worker.end()


@pytest.mark.parametrize("what", ["progress_update(job, 1)", "context.checkpoint()", "list(context.track([1]))"])
def test_a_child_that_was_told_of_no_worker_says_so_once(gateway: WorkerGateway, spawn: Spawn, what: str) -> None:
    script = f"""
        def child(context):
            job = context.job
            {what}
            {what}
        def handler(job, context):
            os.environ.clear()
            return run("spawn", child, context)
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"output": 0}
    assert worker.stderr.count(f"job {job_id}: progress, checkpoint and cancelled do nothing in process") == 1
    worker.end()


def test_a_hook_that_a_child_registers_is_told_of(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = """
        def child(context):
            context.on_cancel(print)
        def handler(job, context):
            return run("fork", child, context)
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END)
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"output": 0}
    assert f"job {job_id}: on_cancel calls nothing in process" in worker.stderr
    worker.end()


def test_a_run_without_a_gateway_says_that_it_hears_no_children(spawn: Spawn) -> None:
    script = """
        def child(job):
            progress_update(job, 1)
        def handler(job):
            return run("fork", child, job)
        """
    worker = spawn(MAIN + script.replace("\n        ", "\n") + END, "--test_input", "{}", environ={})
    assert worker.wait() == 0
    assert "progress, checkpoint and cancelled do nothing in process" in worker.stderr


def fork_and_report(job: dict[str, object]) -> int:
    if not (process := os.fork()):
        progress_update(job, "from the child")
        os._exit(0)
    return os.waitpid(process, 0)[1]


@pytest.mark.filterwarnings("ignore:This process")
@pytest.mark.parametrize("has_names_without_files", [True, False])
def test_a_local_worker_hears_its_forked_children_and_leaves_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_names_without_files: bool
) -> None:
    monkeypatch.setattr(child_calls, "_IS_LINUX", has_names_without_files)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = dict(os.environ)
    with LocalWorker(fork_and_report) as worker:
        assert worker.run().progress == ("from the child",)
        assert dict(os.environ) == before
        assert bool(list(tmp_path.iterdir())) != has_names_without_files
    assert list(tmp_path.iterdir()) == []
