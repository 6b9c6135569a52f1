"""`novita-gpus dev`: gateway, worker and one job, all on this machine."""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import click

from novita_cli._display import Display, ProgressMode
from novita_cli._failures import CommandError, ExitCode, Interrupted
from novita_cli._follow import follow
from novita_cli._input import input_options, read_input
from novita_cli._json import compact, job_document, pretty
from novita_cli._options import parse_duration, plain_progress_options
from novita_cli._retries import retries_shown
from novita_cli._session import AS_JSON
from novita_cli._sources import Sources
from novita_cli._stdout import write_stdout
from novita_cli._target import Target, target_argument
from novita_cli._worker_process import WorkerProcess
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_gateway import Gateway
    from novita_sdk import Job, JobInfo

__all__ = ["command"]

_GLANCE: Final = 0.2
"""Seconds between two looks at the files."""


@click.command("dev")
@target_argument
@input_options
@click.option("--endpoint", default="dev", show_default=True, help="Name of the endpoint.")
@click.option(
    "--wait",
    type=parse_duration,
    default="10m",
    show_default=True,
    metavar="DURATION",
    help="How long to wait for the output.",
)
@click.option("--reload", is_flag=True, help="Start the worker again when a Python file beside FILE changes.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON on stdout, for errors too.")
@plain_progress_options
def command(
    target: Target,
    text: str | None,
    fields: Sequence[str],
    endpoint: str,
    wait: float,
    reload: bool,
    as_json: bool,
    progress: str,
    quiet: bool,
) -> None:
    """Run gateway, worker and one job on this machine.

    Needs no API key. FILE is a script that calls novita_gpus.start(…); FILE:HANDLER serves the named function. With an
    input, one job is submitted: its states go to stderr and its output to stdout, as JSON. Without one, gateway and
    worker keep running; with --reload the worker follows your edits.
    """
    click.get_current_context().meta[AS_JSON] = as_json
    payload = read_input(text, fields)
    if reload and payload is not None:
        raise click.UsageError("--reload keeps the worker running, and an input ends it after one job")
    _check_syntax(target.file)
    from novita_gateway import serve_in_thread

    mode = ProgressMode.QUIET if quiet else ProgressMode(progress)
    try:
        with retries_shown(mode), Display(mode) as display, serve_in_thread() as gateway:
            display.say(f"gateway listens on {gateway.url}")
            if payload is None:
                _serve(target, gateway, endpoint, display, reload=reload)
            with _worker(target, gateway, endpoint, display) as worker:
                info = _run_job(gateway, worker, endpoint, payload, wait, display)
    except KeyboardInterrupt:
        raise Interrupted("interrupted; gateway and worker are stopped") from None
    write_stdout(compact(job_document(info)) if as_json else pretty(info.output))


def _check_syntax(file: Path) -> None:
    """Refuses a file that Python can't read, before anything is started."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
    except SyntaxError as error:
        raise CommandError(f"{file}:{error.lineno}: {error.msg}", ExitCode.USAGE, reason="SYNTAX") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"{file}: {error}", ExitCode.USAGE, reason="SYNTAX") from None


def _run_job(
    gateway: Gateway, worker: WorkerProcess, endpoint: str, payload: JSONValue, wait: float, display: Display
) -> JobInfo:
    """Submits the job and follows it to its end; returns its last state, with its output."""
    from novita_sdk import Client
    from novita_sdk.errors import JobCancelledError, WaitTimeoutError

    with Client(api_key=gateway.api_key, base_url=gateway.url) as client:
        job = client.endpoint(endpoint).run(payload)
        display.say(f"job {job.job_id} submitted")
        try:
            with _cancelled_when_left(job), _cancelled_when_worker_ends(worker, job):
                return follow(job, display, wait)
        except JobCancelledError:
            if worker.has_ended:
                raise CommandError(worker.how_it_ended(), reason="WORKER_ENDED") from None
            raise
        except WaitTimeoutError:
            message = f"job {job.job_id} was not final after {wait:g} s; gateway and worker are stopped"
            raise WaitTimeoutError(message, job_id=job.job_id) from None


@contextmanager
def _cancelled_when_left(job: Job) -> Iterator[None]:
    """Lets the handler clean up, where nobody waits for the job any longer."""
    from novita_sdk.errors import NovitaError

    try:
        yield
    finally:
        if job.final is None:
            with suppress(NovitaError):
                job.cancel()


@contextmanager
def _cancelled_when_worker_ends(worker: WorkerProcess, job: Job) -> Iterator[None]:
    """Ends the wait for a job that nobody is left to run."""
    from novita_sdk.errors import NovitaError

    done = threading.Event()

    def watch() -> None:
        worker.wait()
        if not done.is_set():
            try:
                job.cancel()
            except NovitaError as error:
                click.echo(f"novita-gpus: {error}", err=True)

    threading.Thread(target=watch, name="novita-dev-watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def _serve(target: Target, gateway: Gateway, endpoint: str, display: Display, *, reload: bool) -> NoReturn:
    """Says how to connect, and waits for Ctrl-C or the worker's end; with `reload` a change starts another worker."""
    click.echo(
        "connect a client:\n"
        f"  export NOVITA_ENDPOINT_BASE_URL={gateway.url}\n"
        f"  export NOVITA_API_KEY={gateway.api_key}\n"
        f"  novita-gpus run {endpoint} --input '{{…}}'\n"
        "Ctrl-C ends both",
        err=True,
    )
    sources = Sources(target.file.resolve().parent)
    while True:
        with _worker(target, gateway, endpoint, display) as worker:
            if not reload:
                worker.wait()
                raise CommandError(worker.how_it_ended(), reason="WORKER_ENDED")
            changed = _await_change(sources, worker)
        click.echo(f"{changed.name} changed; the worker starts again", err=True)


def _await_change(sources: Sources, worker: WorkerProcess) -> Path:
    """Waits until the worker's code is another, also where the worker has ended over what it was."""
    is_told = False
    while (changed := sources.changed()) is None:
        if worker.has_ended and not is_told:
            click.echo(f"novita-gpus: {worker.how_it_ended()}; it starts again when a file changes", err=True)
            is_told = True
        time.sleep(_GLANCE)
    # An editor may not be done with it, nor with others.
    while sources.changed() is not None:
        time.sleep(_GLANCE)
    return changed


@contextmanager
def _worker(target: Target, gateway: Gateway, endpoint: str, display: Display) -> Iterator[WorkerProcess]:
    environment = gateway.worker_env(endpoint)
    if display.is_quiet and not any(map(os.environ.get, ("NOVITA_LOG_LEVEL", "RUNPOD_LOG_LEVEL"))):
        environment["NOVITA_LOG_LEVEL"] = "WARN"
    with WorkerProcess(target, environment) as worker:
        display.say(f"worker {target} is process {worker.pid}")
        yield worker
