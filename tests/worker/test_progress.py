"""Progress never blocks, never overtakes, and never follows the result."""

from __future__ import annotations

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import Spawn


def test_progress_is_sent_at_most_every_interval_and_the_newest_wins(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(job):
            began = time.monotonic()
            for i in range(1000):
                progress_update(job, i)
                time.sleep(0.001)
            return time.monotonic() - began
        start({"handler": handler, "progress_interval": 0.3})
        """
    )
    job_id = gateway.submit()
    seconds = gateway.result(job_id)["output"]
    reports = gateway.of("progress", job_id)
    values = [report.json["output"] for report in reports]
    assert values == sorted(values)
    assert 2 <= len(values) <= seconds / 0.3 + 2
    gateway.wait_for(lambda: len(gateway.of("take")) > 1)
    assert gateway.requests.index(reports[-1]) < gateway.requests.index(gateway.of("done", job_id)[0])


def test_progress_never_blocks_the_handler(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["progress"].append(Fault(kind="hang"))
    worker = spawn(
        """
        import novita_worker.link.http
        novita_worker.link.http.PROGRESS_TIMEOUT = 3600.0
        def handler(job):
            for i in range(10_000):
                progress_update(job, i)
            logging.warning("reported")
        start({"handler": handler})
        """
    )
    gateway.submit()
    worker.wait_for_log("reported")
    assert gateway.of("progress") == []


def test_progress_that_hangs_does_not_hold_a_result_up_for_ever(gateway: WorkerGateway, spawn: Spawn) -> None:
    gateway.faults["progress"].append(Fault(kind="hang"))
    spawn(
        """
        import novita_worker.link.http
        novita_worker.link.http.PROGRESS_TIMEOUT = 0.2
        def handler(job):
            progress_update(job, 1)
            return 2
        start({"handler": handler})
        """
    )
    assert gateway.result(gateway.submit()) == {"output": 2}


def test_an_unwritable_progress_is_logged_and_the_job_goes_on(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        'def handler(job):\n    progress_update(job, {"x": b""})\n    return 1\nstart({"handler": handler})\n'
    )
    assert gateway.result(gateway.submit(1)) == {"output": 1}
    worker.wait_for_log("progress not sent: progress.x is bytes")
