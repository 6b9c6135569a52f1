"""Following a job to its end, and how to come back to one that was left alone."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from novita_cli._failures import CommandError, Interrupted
from novita_cli._json import compact, job_document
from novita_cli._stdout import write_stdout

if TYPE_CHECKING:
    from pathlib import Path

    from novita_cli._display import Display
    from novita_cli._session import Session
    from novita_sdk import Job, JobInfo

__all__ = ["follow", "hand_over", "print_chunks", "print_whole", "reattachable"]


def follow(job: Job, display: Display, wait: float | None) -> JobInfo:
    """Shows a job's states and progress until it is final.

    Args:
        job: The job.
        display: Where; a quiet one costs fewer requests.
        wait: Seconds; None for without end.

    Returns:
        The completed job.

    Raises:
        JobError: It ended without an output.
        WaitTimeoutError: The wait ran out.
        NovitaError: See `docs/errors.md`.
    """
    if display.is_quiet:
        info = job.wait(wait)
    else:
        for info in job.updates(wait):
            display.show(info.status, info.progress)
    job.output()  # raises what a job without an output raises; it is final, so nothing is sent
    return info


def print_chunks(job: Job, wait: float | None, start: int = 0) -> bool:
    """Prints a line for each chunk of a job's output, from that number on, until the job is final.

    Arguments and errors are as of `follow`.

    Returns:
        Whether there were any.
    """
    has_some = False
    for chunk in job.stream(wait, start=start):
        has_some = True
        write_stdout(compact(chunk))
    return has_some


def print_whole(job: Job, display: Display) -> None:
    """Prints the output of a completed job that had no chunks, as of a handler that yields nothing but returns."""
    job.wait()
    output = job.output()
    if output != []:  # which is what a generator ends with
        display.say(f"job {job.job_id} had no chunks: its handler is no generator; this is its whole output")
        write_stdout(compact(output))


@contextmanager
def reattachable(job: Job) -> Iterator[None]:
    """Says how to come back to the job where a wait for it runs out or is interrupted."""
    from novita_sdk.errors import WaitTimeoutError

    where = shlex.join([job.endpoint_id, job.job_id])
    advice = (
        f"job {job.job_id} of endpoint {job.endpoint_id} goes on\n"
        f"  wait for it again: novita-gpus output {where}\n"
        f"  cancel it:         novita-gpus cancel {where}"
    )
    try:
        yield
    except WaitTimeoutError:
        raise WaitTimeoutError(f"the wait ran out; {advice}", job_id=job.job_id) from None
    except KeyboardInterrupt:
        raise Interrupted(f"interrupted; {advice}", job.job_id) from None


def hand_over(session: Session, info: JobInfo, job: Job, file: Path | None) -> None:
    """Writes the output of a completed job, or with --json all that is known of it.

    Raises:
        CommandError: The file can't be written; the message says how to get the output all the same.
    """
    try:
        session.emit(job_document(info) if session.as_json else info.output, file=file)
    except CommandError as error:
        command = shlex.join(["novita-gpus", "output", job.endpoint_id, job.job_id])
        message = f"{error.message}; the job is done, and its output can be fetched again: {command}"
        raise CommandError(message, error.code, reason=error.reason) from None
