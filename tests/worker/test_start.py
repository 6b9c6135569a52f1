"""What `start()` accepts, refuses and leaves alone."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from novita_worker import ConfigError, JobContext, start
from novita_worker.testing import LocalWorker
from tests.support.worker_gateway import WorkerGateway
from tests.support.worker_process import START, Spawn

HANDLER = "def handler(job):\n    return job['input']\n"


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "start() takes a dictionary"),
        ({}, "start() needs a handler"),
        ({"handler": None}, "start() needs a handler"),
        ({"handler": 5}, "must be a function that takes a job, not int"),
        ({"handler": dict}, "is a class"),
        ({"handler": lambda: None}, "takes no argument"),
        ({"handler": lambda a, b, c: None}, "required arguments beyond the job"),
        ({"handler": lambda job, *, key: None}, "required arguments beyond the job"),
        ({"handler": lambda job: job, "concurrency": 0}, "concurrency must be a whole number of at least 1, not 0"),
        ({"handler": lambda job: job, "concurrency": True}, "concurrency must be a whole number"),
        ({"handler": lambda job: job, "prefetch": -1}, "prefetch must be a whole number of at least 0"),
        ({"handler": lambda job: job, "concurrency_modifier": 3}, "concurrency_modifier must be callable"),
        ({"handler": lambda job: job, "progress_interval": "1"}, "progress_interval must be a number of seconds"),
        ({"handler": lambda job: job, "job_timeout": 0}, "job_timeout must be a number above 0"),
        ({"handler": lambda job: job, "spool_dir": 5}, "spool_dir must be a path"),
        ({"handler": lambda job: job, "setup": "x"}, "setup must be callable"),
        ({"handler": lambda job: job, "refresh_worker": "yes"}, "refresh_worker must be True or False"),
    ],
)
def test_what_cannot_work_is_refused_with_a_reason(config: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        start(config)


def test_an_unknown_key_is_warned_about(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    with caplog.at_level(logging.WARNING), pytest.raises(SystemExit):
        start({"handler": lambda job: job, "concurency": 2, "rp_args": {}})
    assert "does not know the key 'concurency' and ignores it; did you mean 'concurrency'?" in caplog.text
    assert "rp_args" not in caplog.text


def test_a_handler_is_refused_before_the_first_take(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn("def handler():\n    return 1\n" + START)
    assert worker.wait() == 1
    assert "takes no argument" in worker.stderr
    assert gateway.requests == []


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("NOVITA_WEBHOOK_POST_OUTPUT", "", "NOVITA_WEBHOOK_POST_OUTPUT is not set"),
        ("NOVITA_WEBHOOK_GET_JOB", "ftp://x", "NOVITA_WEBHOOK_GET_JOB is not an http or https URL"),
        ("NOVITA_AI_API_KEY", "KEY123\r\nX: y", "NOVITA_AI_API_KEY holds a line break"),
    ],
)
def test_an_environment_that_cannot_work_is_refused(
    gateway: WorkerGateway, spawn: Spawn, variable: str, value: str, message: str
) -> None:
    worker = spawn(HANDLER + START, environ={**gateway.environ(), variable: value})
    assert worker.wait() == 1
    assert message in worker.stderr
    assert "KEY123" not in worker.stderr


@pytest.mark.parametrize(("key", "header"), [("KEY123\n", "KEY123"), (" Bearer ké☃", "Bearer ké☃")])
def test_a_key_is_sent_as_it_stands_without_the_end_of_its_line(
    gateway: WorkerGateway, spawn: Spawn, key: str, header: str
) -> None:
    spawn(HANDLER + START, environ={**gateway.environ(), "NOVITA_AI_API_KEY": key})
    gateway.result(gateway.submit(1))
    gateway.wait_for(lambda: gateway.of("ping"))
    assert {request.headers["Authorization"] for request in gateway.requests} == {header}


def test_own_flags_are_taken_and_others_left(gateway: WorkerGateway, spawn: Spawn) -> None:
    worker = spawn(
        "def handler(job):\n    return sys.argv[1:]\n" + START, "--mine", "1", "--log_level", "DEBUG", "--log_lev", "x"
    )
    assert gateway.result(gateway.submit()) == {"output": ["--mine", "1", "--log_lev", "x"]}
    worker.wait_for_log("DEBUG")


CONTEXTS = {
    "job and context": "def handler(job, context): return [job['input'], context.input, context.id]",
    "annotated": "def handler(job: dict, c: JobContext): return [job['input'], c.input, c.id]",
    "lone context by name": "def handler(context): return [context.job['input'], context.input, context.id]",
    "lone context by type": "def handler(c: JobContext): return [c.job['input'], c.input, c.id]",
    "optional context": "def handler(job, context=None): return [job['input'], context.input, context.id]",
    "optional other": "def handler(job, other='x'): return [job['input'], 5, job['id']] if other == 'x' else other",
    "callable object": """
        class Handler:
            async def __call__(self, job, context):
                return [job["input"], context.input, context.id]
        handler = Handler()
        """,
    "partial": """
        import functools
        def work(prefix, job, context):
            return [job["input"], context.input, context.id]
        handler = functools.partial(work, "x")
        """,
    "sync wrapper of an async function": """
        async def work(job):
            return [job["input"], 5, job["id"]]
        handler = lambda job: work(job)
        """,
    "variadic": "def handler(*args): return [args[0]['input'], 5, args[0]['id']]",
}


@pytest.mark.parametrize("form", CONTEXTS)
def test_a_handler_takes_the_job_the_context_or_both(form: str) -> None:
    names: dict[str, Any] = {"JobContext": JobContext}
    exec(textwrap.dedent(CONTEXTS[form]), names)
    with LocalWorker(names["handler"]) as worker:
        assert worker.run(5, id="mine").output == [5, 5, "mine"]


def test_a_sync_wrapper_of_a_generator_streams(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def work(job):
            yield 1
            yield 2
        start({"handler": lambda job: work(job)})
        """
    )
    job_id = gateway.submit()
    assert gateway.result(job_id) == {"output": []}
    assert len(gateway.of("stream", job_id)) == 2
    assert gateway.of("done", job_id)[0].query.endswith("isStream=true")


def test_the_context_tells_attempt_and_deadline(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(context):
            return [context.attempt, context.deadline - time.time(), context.worker_id]
        start({"handler": handler, "job_timeout": 100})
        """
    )
    attempt, left, worker_id = gateway.result(gateway.submit(attempt=3))["output"]
    assert (attempt, worker_id) == (3, "pod1")
    assert 0 < left <= 100


def test_a_prefetched_job_knows_its_deadline_from_its_first_line_on(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(context):
            deadline = context.deadline
            time.sleep(0.02)  # meanwhile the next one gets ready
            return deadline
        start({"handler": handler, "prefetch": 2, "job_timeout": 100})
        """
    )
    jobs = [gateway.submit() for _ in range(8)]
    assert None not in [gateway.result(job_id)["output"] for job_id in jobs]


def test_the_whole_job_reaches_the_handler(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn("def handler(job):\n    return {**job, 'keys': list(job)}\n" + START)
    extra = {"webhook": "http://x", "s3Config": {"bucketName": "b"}, "batchId": None}
    job_id = gateway.submit({"b": 1, "a": 2.0}, **extra)
    output = gateway.result(job_id)["output"]
    assert output == {"id": job_id, "input": {"b": 1, "a": 2.0}, **extra, "keys": ["id", "input", *extra]}


def test_structured_progress(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(job, context):
            context.progress(fraction=0.5, message="half", data={"step": 1})
            try:
                context.progress(fraction=50)
            except ValueError as error:
                return str(error)
        """
        + START
    )
    job_id = gateway.submit()
    assert "between 0 and 1" in gateway.result(job_id)["output"]
    assert gateway.of("progress", job_id)[0].json == {
        "output": {"fraction": 0.5, "message": "half", "data": {"step": 1}},
        "status": "IN_PROGRESS",
    }


def test_progress_from_a_thread_of_the_handler(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        def handler(job):
            thread = threading.Thread(target=progress_update, args=(job, "from a thread"))
            thread.start()
            thread.join()
        """
        + START
    )
    job_id = gateway.submit()
    gateway.result(job_id)
    assert gateway.of("progress", job_id)[0].json["output"] == "from a thread"


def test_flags_of_another_package_are_told_of(gateway: WorkerGateway, spawn: Spawn) -> None:
    script = "print(sys.argv[1:], file=sys.stderr)\n" + HANDLER + START + "\nprint(sys.argv[1:], file=sys.stderr)\n"
    worker = spawn(script, "--rp_serve_api", "--rp_api_port=8000", "--rp_log_level", "DEBUG", "--mine")
    gateway.result(gateway.submit())
    worker.wait_for_log(r"WARNING.*--rp_serve_api, --rp_api_port does nothing here: novita-gpus dev handler\.py")
    worker.wait_for_log("DEBUG.* job j1 starts")
    worker.end()
    assert "['--rp_serve_api', '--rp_api_port=8000', '--mine']" in worker.stderr


def test_importing_loads_nothing_heavy(spawn: Spawn) -> None:
    worker = spawn(
        "heavy = {'aiohttp', 'requests', 'boto3', 'google.protobuf'}.intersection(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)\n"
    )
    assert worker.wait() == 0, worker.stderr


def test_a_context_names_its_job() -> None:
    class Nobody:
        def progress(self, context: JobContext) -> None: ...

    context = JobContext({"id": "j1", "input": {"secret": 1}}, reports=Nobody())
    assert repr(context) == "JobContext(id='j1', attempt=1)"


def test_a_jobs_span_is_the_child_of_its_submit(gateway: WorkerGateway, spawn: Spawn) -> None:
    spawn(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        def handler(job):
            return format(trace.get_current_span().get_span_context().trace_id, "032x")
        """
        + START
    )
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    job_id = gateway.submit(traceparent=f"00-{trace_id}-b7ad6b7169203331-01")
    assert gateway.result(job_id) == {"output": trace_id}


def test_a_worker_that_is_process_1_says_what_it_does_not_do(gateway: WorkerGateway, tmp_path: Path) -> None:
    unshare = ["unshare", "--pid", "--fork", "--kill-child"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("processes can't be numbered anew here")
    script = tmp_path / "worker.py"
    script.write_text("from novita_worker import start\nstart({'handler': lambda job: job['input']})\n")
    log = tmp_path / "log"
    with log.open("w") as stderr:
        worker = subprocess.Popen(
            [*unshare, sys.executable, script], env={**os.environ, **gateway.environ()}, stderr=stderr
        )
    try:
        assert gateway.result(gateway.submit(1)) == {"output": 1}
    finally:
        worker.kill()
        worker.wait()
    assert "this worker is process 1 of its container" in log.read_text()
    assert "docker run --init" in log.read_text()
