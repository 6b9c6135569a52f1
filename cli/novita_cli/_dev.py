"""`novita-gpus dev`: gateway, worker and one job, all on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

import click

from novita_cli._display import Display
from novita_cli._exit import ExitCode
from novita_cli._input import DurationType, input_options, read_input
from novita_cli._target import Target, TargetType
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_gateway import Gateway
    from novita_sdk import Job

__all__ = ["dev"]

_STOP_SECONDS = 10.0
"""How long a worker may take to end before it is killed."""


@click.command()
@click.argument("target", type=TargetType())
@input_options
@click.option("--endpoint", default="dev", show_default=True, help="Name of the endpoint.")
@click.option("--wait", type=DurationType(), default="10m", show_default=True, help="How long to wait for the output.")
@click.option("-q", "--quiet", is_flag=True, help="Print the output alone.")
def dev(target: Target, text: str | None, fields: Sequence[str], endpoint: str, wait: float, quiet: bool) -> None:
    """Run a worker against the embedded gateway, with one job or until Ctrl-C.

    FILE is a script that calls novita_gpus.start(…); FILE:HANDLER serves the named function. With an input, one job is
    submitted: its states go to stderr and its output to stdout, as JSON. Without one, gateway and worker keep running.
    """
    payload = read_input(text, fields)
    has_job = text is not None or bool(fields)
    from novita_gateway import serve_in_thread

    with Display(endpoint, quiet=quiet) as display, serve_in_thread() as gateway:
        display.say(f"gateway listens on {gateway.url}")
        with _worker_process(target, gateway.worker_env(endpoint)) as process:
            display.say(f"worker {target} is process {process.pid}")
            if has_job:
                output = _run_job(gateway, process, endpoint, payload, wait, display)
            else:
                _serve(gateway, process, endpoint, display)
    if has_job:
        click.echo(json.dumps(output, indent=2, ensure_ascii=False))


@contextmanager
def _worker_process(target: Target, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the worker; what it prints goes to stderr, because stdout is for the output."""
    process = subprocess.Popen(  # noqa: S603 - the user names the worker
        [sys.executable, "-m", "novita_cli", "worker", str(target)],
        env={**os.environ, **environment, "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _run_job(
    gateway: Gateway,
    process: subprocess.Popen[bytes],
    endpoint: str,
    payload: JSONValue,
    wait: float,
    display: Display,
) -> JSONValue:
    """Submits the job and follows it to its end; returns its output."""
    from novita_sdk import Client
    from novita_sdk.errors import JobCancelledError, JobError, NovitaError, WaitTimeoutError

    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        try:
            job = client.endpoint(endpoint).run(payload)
            display.say(f"job {job.job_id} submitted")
            with _cancelled_when_worker_exits(process, job):
                for update in job.updates(timeout=wait):
                    display.show(update.status, update.progress)
            return job.output()
        except JobCancelledError as error:
            if process.poll() is not None:
                _fail(_exit_message(process), ExitCode.FAILED)
            _fail(error, ExitCode.CANCELLED)
        except JobError as error:
            _fail(error, ExitCode.FAILED)
        except WaitTimeoutError as error:
            _fail(error, ExitCode.WAIT_TIMED_OUT)
        except NovitaError as error:
            _fail(error, ExitCode.FAILED)
        except KeyboardInterrupt:
            _fail("interrupted; gateway and worker are stopped", ExitCode.INTERRUPTED)


@contextmanager
def _cancelled_when_worker_exits(process: subprocess.Popen[bytes], job: Job) -> Iterator[None]:
    """Ends the wait for a job that nobody is left to run."""
    done = threading.Event()

    def watch() -> None:
        process.wait()
        if not done.is_set():
            job.cancel()

    threading.Thread(target=watch, name="novita-dev-watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _serve(gateway: Gateway, process: subprocess.Popen[bytes], endpoint: str, display: Display) -> None:
    """Says how to connect, and waits for Ctrl-C or the worker's end."""
    display.say(
        f"connect a client:\n  export NOVITA_ENDPOINT_BASE_URL={gateway.url} NOVITA_API_KEY={gateway.api_key}\n"
        f"  novita_gpus.Endpoint({endpoint!r}).run({{…}})\nCtrl-C ends both"
    )
    try:
        process.wait()
    except KeyboardInterrupt:
        return
    _fail(_exit_message(process), ExitCode.FAILED)


def _exit_message(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    if code == 0:
        return "the worker ended without serving; does the file call novita_gpus.start(…)? Else name it: FILE:HANDLER"
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
    return f"the worker {how}; what it said is above"


def _fail(problem: object, code: ExitCode) -> NoReturn:
    click.echo(f"novita-gpus: {problem}", err=True)
    raise SystemExit(code)
