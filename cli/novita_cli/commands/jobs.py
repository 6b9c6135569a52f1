"""Commands about one job: `status`, `output`, `stream`, `cancel`, `retry`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from novita_cli._documents import document
from novita_cli._follow import follow, hand_over, print_chunks, reattachable
from novita_cli._json import compact
from novita_cli._options import endpoint_argument, file_option, job_argument, wait_options
from novita_cli._session import Session, session_options
from novita_sdk.wire.payload import JSONValue

if TYPE_CHECKING:
    from novita_sdk import Job

__all__ = ["cancel_command", "output_command", "retry_command", "status_command", "stream_command"]


@click.command("status")
@endpoint_argument
@job_argument
@session_options
def status_command(session: Session, endpoint: str, job: str) -> None:
    """Print the state of JOB.

    It is PENDING, IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELLED or TIMED_OUT; with --json everything that the
    gateway tells. The exit code is 0 whatever the state is.
    """
    with _job(session, endpoint, job) as handle:
        info = handle.info()
    session.emit_word(info.status, document(info))


@click.command("output")
@endpoint_argument
@job_argument
@wait_options("Exit with 124 at once if the job goes on.")
@file_option
@session_options
def output_command(
    session: Session, endpoint: str, job: str, wait: float | None, no_wait: bool, file: Path | None
) -> None:
    """Wait for JOB and print its output, as `run` does."""
    with _job(session, endpoint, job) as handle, session.display() as display, reattachable(handle):
        info = follow(handle, display, 0 if no_wait else wait)
    hand_over(session, info, handle, file)


@click.command("stream")
@endpoint_argument
@job_argument
@wait_options("Print what there is now.")
@session_options
def stream_command(session: Session, endpoint: str, job: str, wait: float | None, no_wait: bool) -> None:
    """Print the chunks of JOB as they come.

    Each is one line of JSON; it ends with the job. A chunk is handed out once: two streams of one job share its chunks.
    """
    with _job(session, endpoint, job) as handle, reattachable(handle):
        print_chunks(handle, 0 if no_wait else wait)


@click.command("cancel")
@endpoint_argument
@job_argument
@session_options
def cancel_command(session: Session, endpoint: str, job: str) -> None:
    """Cancel JOB and print its state.

    It may wait or run; one that has ended stays as it is.
    """
    with _job(session, endpoint, job) as handle:
        _emit_answer(session, handle.cancel())


@click.command("retry")
@endpoint_argument
@job_argument
@session_options
def retry_command(session: Session, endpoint: str, job: str) -> None:
    """Queue JOB again and print its state.

    It keeps its id, and must have failed or timed out.
    """
    with _job(session, endpoint, job) as handle:
        _emit_answer(session, handle.retry())


@contextmanager
def _job(session: Session, endpoint: str, job: str) -> Iterator[Job]:
    with session.client() as client:
        yield client.endpoint(endpoint).job(job)


def _emit_answer(session: Session, answer: JSONValue) -> None:
    status = answer.get("status") if isinstance(answer, dict) else None
    session.emit_word(status if isinstance(status, str) else compact(answer).decode(), answer)
