"""`novita-gpus output`: waits for a job and prints its output."""

from __future__ import annotations

from pathlib import Path

import click

from novita_cli._follow import follow, hand_over, reattachable
from novita_cli._options import endpoint_argument, file_option, job_argument, wait_options
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("output")
@endpoint_argument
@job_argument
@wait_options("Exit with 124 at once if the job goes on.")
@file_option
@session_options
def command(session: Session, endpoint: str, job: str, wait: float | None, no_wait: bool, file: Path | None) -> None:
    """Wait for JOB and print its output, as `run` does."""
    with session.job(endpoint, job) as handle, session.display() as display, reattachable(handle):
        info = follow(handle, display, 0 if no_wait else wait)
    hand_over(session, info, handle, file)
