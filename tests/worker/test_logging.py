"""The lines that a worker logs: what they name, in which form, and whose configuration counts."""

from __future__ import annotations

import json

import pytest

from tests.support.worker_gateway import Fault, WorkerGateway
from tests.support.worker_process import START, Spawn

LOGGING = """
    log = logging.getLogger("user")
    def handler(job, context):
        log.info("from the handler")
        context.log.warning("from the context")
        return {"secret": "payload"}
    start({"handler": handler, "concurrency": 2})
    """


def test_text_log_lines_name_worker_and_job(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(LOGGING)
    job_id = gateway.submit({"secret": "input"})
    gateway.result(job_id)
    worker.wait_for_log(rf"INFO +user \[worker=pod1 job={job_id}\]: from the handler")
    worker.wait_for_log(rf"WARNING novita_worker.job \[worker=pod1 job={job_id}\]: from the context")
    assert "secret" not in worker.stderr


def test_json_log_lines_name_worker_and_job(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(LOGGING, environ={**gateway.environ(), "NOVITA_LOG_FORMAT": "json"})
    job_id = gateway.submit()
    gateway.result(job_id)
    worker.wait_for_log("from the context")
    lines = [json.loads(line) for line in worker.stderr.splitlines()]
    (line,) = [line for line in lines if line["message"] == "from the handler"]
    assert {key: line[key] for key in ("level", "logger", "job_id", "worker_id")} == {
        "level": "INFO",
        "logger": "user",
        "job_id": job_id,
        "worker_id": "pod1",
    }


def test_the_log_level_of_the_environment_counts(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(LOGGING, environ={**gateway.environ(), "NOVITA_LOG_LEVEL": "ERROR"})
    gateway.result(gateway.submit())
    assert worker.stderr == ""


def test_a_programs_own_logging_is_left_alone(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        "logging.basicConfig(format='mine %(message)s', level='INFO')\ndef handler(job):\n    time.sleep(0.2)\n" + START
    )
    gateway.result(gateway.submit())
    worker.wait_for_log("mine job j1 done")


@pytest.mark.parametrize("where", ["at import", "in setup", "in the handler"])
def test_a_configuration_of_logging_does_not_silence_the_worker(
    gateway: WorkerGateway, spawn: Spawn, where: str
) -> None:
    script = f"""
        import logging.config
        def configure():
            logging.config.dictConfig({{"version": 1}})
        def handler(job):
            {"configure()" if "handler" in where else ""}
            time.sleep(0.2)
        {"configure()" if "import" in where else ""}
        start({{"handler": handler, "setup": {"configure" if "setup" in where else "None"}}})
        """
    worker = spawn(script)
    gateway.result(gateway.submit())
    worker.wait_for_log("job j1 done")
    worker.end()


def test_the_runtimes_log_lines_name_the_job_they_are_about_and_no_other(gateway: WorkerGateway, spawn: Spawn) -> None:
    environ = {**gateway.environ(), "NOVITA_LOG_FORMAT": "json"}
    worker = spawn('start({"handler": lambda job: time.sleep(0.1)})', environ=environ)
    gateway.wait_for(lambda: gateway.parked, "a parked take")
    gateway.faults["take"].append(Fault(status=503))  # the next one, which goes out with the result
    gateway.faults["done"].append(Fault(status=503))
    job_id = gateway.submit()
    gateway.result(job_id)
    worker.wait_for_log("works again")
    lines = [json.loads(line) for line in worker.stderr.splitlines()]
    about = {line["message"]: line.get("job_id") for line in lines}
    for message, named in about.items():
        assert named == (job_id if job_id in message else None), message
    assert any("done in" in message for message in about)
    assert any("did not get through" in message for message in about)
