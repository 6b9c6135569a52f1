"""`novita-gpus cancel`: ends a job before its time."""

from __future__ import annotations

import click

from novita_cli._options import endpoint_argument, job_argument
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("cancel")
@endpoint_argument
@job_argument
@session_options
def command(session: Session, endpoint: str, job: str) -> None:
    """Cancel JOB and print its state.

    It may wait or run; one that has ended stays as it is.
    """
    with session.job(endpoint, job) as handle:
        session.emit_answer(handle.cancel())
