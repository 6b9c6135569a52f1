"""`novita-gpus status`: the state of a job, or with `--json` all that is known of it."""

from __future__ import annotations

import click

from novita_cli._json import job_document
from novita_cli._options import endpoint_argument, job_argument
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("status")
@endpoint_argument
@job_argument
@session_options
def command(session: Session, endpoint: str, job: str) -> None:
    """Print the state of JOB.

    It is PENDING, IN_QUEUE, IN_PROGRESS, COMPLETED, FAILED, CANCELLED or TIMED_OUT; with --json everything that the
    gateway tells. The exit code is 0 whatever the state is.
    """
    with session.job(endpoint, job) as handle:
        info = handle.info()
    session.emit_word(info.status, job_document(info))
