"""One run of a handler without a gateway, for `python handler.py --test_input '{…}'`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Final

from novita_sdk.models import HandlerError, JobResult
from novita_sdk.wire.codec import WireError, decode
from novita_sdk.wire.payload import JSONValue, PayloadError, load
from novita_worker._config import WorkerConfig
from novita_worker._errors import ConfigError
from novita_worker.handlers.children import runs_here
from novita_worker.handlers.context import JobContext, running_contexts, start_folder
from novita_worker.handlers.lanes import LoopLanes, ThreadLanes
from novita_worker.handlers.outcome import Outcome, Writer
from novita_worker.handlers.run import JobRun
from novita_worker.handlers.spec import HandlerSpec

__all__ = ["run_locally"]

TEST_FILE: Final = "test_input.json"
LOCAL_ID: Final = "local_test"

_HOW: Final = """\
This is not a worker environment (NOVITA_WEBHOOK_GET_JOB is not set), and there is nothing to run locally. Either
  run the handler once:        python {script} --test_input '{{"input": {{"prompt": "hello"}}}}'
  or with a file beside it:    {file} holding {{"input": {{…}}}}
  or against a local gateway:  novita-gpus dev {script} --input '{{"prompt": "hello"}}'"""


_HOW_WITHOUT_FILE: Final = """\
This is not a worker environment (NOVITA_WEBHOOK_GET_JOB is not set), and this handler is in no file: it was typed in a
notebook or a prompt. Either
  run it here, on a gateway of its own:  from novita_testing import embedded
                                         with embedded(handler) as endpoint:
                                             print(endpoint.run_sync({"prompt": "hello"}))
  or write it to a file, worker.py:      novita-gpus dev worker.py --input '{"prompt": "hello"}'"""


def _how() -> str:
    # Without a file, `sys.argv` names the program that runs the notebook.
    if getattr(sys.modules.get("__main__"), "__file__", None) is None or "ipykernel" in sys.modules:
        return _HOW_WITHOUT_FILE
    return _HOW.format(script=Path(sys.argv[0]).name, file=TEST_FILE)


class _Console:
    """Shows a run: progress and chunks on stderr, the result on stdout."""

    def __init__(self) -> None:
        self.outcome: Outcome | None = None

    def progress(self, context: JobContext) -> None:
        body = context.take_progress()
        if body is not None:
            print(f"progress: {body.decode()}", file=sys.stderr)  # noqa: T201

    def chunk(self, job_id: str, chunk: bytes) -> None:
        del job_id
        print(f"chunk: {chunk.decode()}", file=sys.stderr)  # noqa: T201

    def finished(self, job_id: str, outcome: Outcome) -> None:
        del job_id
        self.outcome = outcome


def run_locally(config: WorkerConfig, spec: HandlerSpec, test_input: str | None) -> int:
    """Runs the handler on the test input and prints what a worker would post.

    Returns:
        An exit code: 0, or 1 if the job failed or there is no input.

    Raises:
        ConfigError: The test input is not a JSON object.
    """
    job = _read_job(test_input)
    if job is None:
        print(_how(), file=sys.stderr)  # noqa: T201
        return 1
    console = _Console()
    runs_here()
    context = JobContext(job, reports=console, worker_id="local", folder=start_folder())
    run = JobRun(context, Writer(spec=spec), console, aggregate=True, is_bounded=False, own_loop=config.own_loop)
    running_contexts[context.id] = context
    lanes = LoopLanes() if spec.kind.is_async and not config.own_loop else ThreadLanes()
    try:
        if config.setup is not None:
            lanes.call(config.setup)
        lanes.call(run.run_async if isinstance(lanes, LoopLanes) else run.run)
        if config.teardown is not None:
            lanes.call(config.teardown)
    finally:
        lanes.close()
        del running_contexts[context.id]
    outcome = console.outcome
    if outcome is None:
        raise RuntimeError("the handler did not run")
    print(_printable(outcome.body.decode()))  # noqa: T201
    if outcome.error is not None:
        _show_error(decode(JobResult, outcome.body))
        return 1
    return 0


def _read_job(test_input: str | None) -> dict[str, JSONValue] | None:
    if test_input is not None:
        return _parse_job(test_input.encode(), "--test_input")
    path = Path(TEST_FILE)
    return _parse_job(path.read_bytes(), TEST_FILE) if path.is_file() else None


def _parse_job(text: bytes, source: str) -> dict[str, JSONValue]:
    try:
        value = load(text)
    except PayloadError as error:
        raise ConfigError(f"{source}: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(f"{source} must be a JSON object, not {type(value).__name__}")
    job = value if "input" in value else {"input": value}
    return {"id": LOCAL_ID, **job}


def _printable(text: str) -> str:
    """The same JSON, in ASCII where standard output can't take it as it is."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    return text


def _show_error(result: JobResult) -> None:
    error = load(result.error)
    try:
        text = decode(HandlerError, str(error).encode()).error_traceback
    except WireError:
        text = ""
    print(text or f"error: {error}", file=sys.stderr)  # noqa: T201
