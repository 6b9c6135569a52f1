"""The heartbeat tells the truth about the worker, whatever the handler does."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.processes import children, is_alive, memory, wait_until_gone
from tests.support.waiting import eventually
from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import Spawn

SLEEPER = """
    def handler(job):
        if job["input"]:
            hold(job["input"])
        return "slept"
    start({"handler": handler})
    """

DEAF_LOG = """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    os.dup2(writer, 2)
    """

GIL_HOLDER = """
    import ctypes
    os.mkfifo("release")
    def handler(job):
        while not os.path.exists("begun"):
            time.sleep(0.01)
        ctypes.PyDLL(None).system(b"echo held >&2; cat release >&2")  # PyDLL keeps the GIL
        return "held"
    start({"handler": handler})
    """


def test_pings_name_the_jobs_in_progress(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(SLEEPER.replace("start({", 'start({"concurrency": 2, '))
    gateway.wait_for(lambda: gateway.of("ping"))
    assert gateway.of("ping")[0].query == "gpu=A+B"
    first, second = gateway.submit("go"), gateway.submit("go")
    ids = {f"{first}%2C{second}", f"{second}%2C{first}"}
    gateway.wait_for(lambda: any(ping.query.partition("job_id=")[2] in ids for ping in gateway.of("ping")))
    worker.let_go()
    gateway.result(first)
    gateway.result(second)
    count = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > count + 1)
    assert gateway.of("ping")[-1].query == "gpu=A+B"
    assert gateway.of("ping")[0].headers["Authorization"] == "KEY123"


def test_pings_go_on_while_a_handler_holds_the_gil(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(GIL_HOLDER)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("stop"))
    worker.let_go("begun")
    worker.wait_for_log("held")
    count = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > count + 3)
    assert {ping.query for ping in gateway.of("ping")[count + 1 :]} == {f"gpu=A+B&job_id={job_id}"}
    (worker.log.parent / "release").write_text("")
    assert gateway.result(job_id) == {"output": "held"}


def test_a_ping_that_is_answered_late_ends_nothing(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["ping"].extend([Fault(status=503, late=0.7), Fault(status=200, late=0.7)])
    worker = spawn(SLEEPER)
    gateway.wait_for(lambda: len(gateway.of("ping")) > 2)
    assert worker.stderr.count("heartbeat") == 0


def test_a_ping_that_never_ends_is_given_up(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["ping"].append(Fault(kind="drip"))
    worker = spawn(SLEEPER)
    (heart,) = eventually(lambda: children(worker.pid))
    gateway.wait_for(lambda: len(gateway.of("ping")) > 1)
    assert f"ended with code -{int(signal.SIGALRM)}; another is started" in worker.stderr
    assert children(worker.pid) == [heart]


@pytest.mark.parametrize("which", ["the one that pings", "its supervisor"])
def test_a_heartbeat_that_dies_while_a_handler_holds_the_gil_pings_on(
    gateway: WorkerGateway, spawn: Spawn, which: str
) -> None:
    worker = spawn(GIL_HOLDER)
    job_id = gateway.submit()
    gateway.wait_for(lambda: gateway.of("stop") and gateway.of("ping"))
    (supervisor,) = children(worker.pid)
    (pinger,) = children(supervisor)
    worker.let_go("begun")
    worker.wait_for_log("held")
    os.kill(pinger if which == "the one that pings" else supervisor, signal.SIGKILL)
    count = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > count + 3)
    (worker.log.parent / "release").write_text("")
    assert gateway.result(job_id) == {"output": "held"}
    if which == "its supervisor":
        wait_until_gone(pinger)
        gateway.wait_for(lambda: children(worker.pid) not in ([], [supervisor]))
    else:
        wait_until_gone(pinger)
        assert children(worker.pid) == [supervisor]
    worker.end()
    wait_until_gone(supervisor)


def test_both_processes_die_with_a_killed_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(SLEEPER, environ={**gateway.environ(), "NOVITA_PING_INTERVAL": "5000"})
    gateway.wait_for(lambda: gateway.of("ping"))
    (supervisor,) = children(worker.pid)
    (pinger,) = children(supervisor)
    worker.send_signal(signal.SIGKILL)
    wait_until_gone(supervisor)
    wait_until_gone(pinger)


def test_pings_wait_for_nobody_who_reads_the_log(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["ping"].extend([Fault(status=503)] * 4)
    spawn(
        DEAF_LOG + SLEEPER,
        "--log_level",
        "NOTSET",
    )
    gateway.wait_for(lambda: len(gateway.of("ping")) > 2)


def test_a_refused_ping_is_told_in_the_gateways_words(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["ping"].append(Fault(status=401, body="the key is revoked"))
    worker = spawn(SLEEPER)
    worker.wait_for_log("a ping was answered with HTTP 401 the key is revoked")
    worker.wait_for_log("pings arrive again")


def test_the_heartbeat_dies_with_a_killed_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(SLEEPER, environ={**gateway.environ(), "NOVITA_PING_INTERVAL": "5000"})
    gateway.wait_for(lambda: gateway.of("ping"))
    (heart,) = children(worker.pid)
    worker.send_signal(signal.SIGKILL)
    wait_until_gone(heart)


def test_the_heartbeat_dies_even_if_a_forked_process_outlives_the_worker(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        def handler(job):
            child = os.fork()
            if child == 0:
                time.sleep(600)
                os._exit(0)
            progress_update(job, child)
            time.sleep(600)
        start({"handler": handler})
        """,
        environ={**gateway.environ(), "NOVITA_PING_INTERVAL": "3000"},
    )
    gateway.submit()
    gateway.wait_for(lambda: gateway.of("ping") and gateway.of("progress"))
    child = gateway.of("progress")[0].json["output"]
    (heart,) = set(children(worker.pid)) - {child}
    worker.send_signal(signal.SIGKILL)
    try:
        wait_until_gone(heart)
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_heartbeat_that_dies_is_started_again(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(SLEEPER)
    gateway.wait_for(lambda: gateway.of("ping"))
    (heart,) = children(worker.pid)
    os.kill(heart, signal.SIGKILL)
    count = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > count)
    assert children(worker.pid) not in ([], [heart])


def test_a_heartbeat_that_cannot_be_started_again_at_once_is_later(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        """
        import subprocess
        class Full(subprocess.Popen):
            refusals = 2
            def __init__(self, *args, **kwargs):
                if Full.refusals:
                    Full.refusals -= 1
                    raise BlockingIOError(11, "Resource temporarily unavailable")
                super().__init__(*args, **kwargs)
        def handler(job):
            subprocess.Popen = Full
        start({"handler": handler})
        """
    )
    gateway.result(gateway.submit())
    gateway.wait_for(lambda: gateway.of("ping"))
    (heart,) = children(worker.pid)
    os.kill(heart, signal.SIGKILL)
    wait_until_gone(heart)
    count = len(gateway.of("ping"))
    gateway.wait_for(lambda: len(gateway.of("ping")) > count)
    assert worker.stderr.count("heartbeat") == 1


def test_a_failed_ping_is_tried_again_before_the_next_is_due(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["ping"].extend([Fault(kind="reset"), Fault(kind="reset"), Fault(status=503)])
    worker = spawn(SLEEPER, environ={**gateway.environ(), "NOVITA_PING_INTERVAL": "3600000"})
    gateway.wait_for(lambda: gateway.of("ping"))
    worker.wait_for_log("pings arrive again")


@pytest.mark.parametrize("interval", ["0", "-5", "nonsense", "9" * 15, "9" * 400])
def test_an_interval_that_makes_no_sense_does_not_stop_the_pings(
    gateway: WorkerGateway, spawn: Spawn, interval: str
) -> None:
    worker = spawn(SLEEPER, environ={**gateway.environ(), "NOVITA_PING_INTERVAL": interval})
    gateway.wait_for(lambda: gateway.of("ping"))
    assert gateway.result(gateway.submit()) == {"output": "slept"}
    assert "heartbeat" not in worker.stderr


def test_the_heartbeat_is_small(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(SLEEPER)
    gateway.wait_for(lambda: gateway.of("ping"))
    (heart,) = children(worker.pid)
    (pinger,) = children(heart)
    assert memory(pinger) < 18 * 1024, f"{memory(pinger)} KiB"
    assert memory(heart) < 14 * 1024, f"{memory(heart)} KiB"
