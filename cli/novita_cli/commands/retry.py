"""`novita-gpus retry`: queues a job again that failed or timed out."""

from __future__ import annotations

import click

from novita_cli._options import endpoint_argument, job_argument
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("retry")
@endpoint_argument
@job_argument
@session_options
def command(session: Session, endpoint: str, job: str) -> None:
    """Queue JOB again and print its state.

    It keeps its id, and must have failed or timed out.
    """
    with session.job(endpoint, job) as handle:
        session.emit_answer(handle.retry())
