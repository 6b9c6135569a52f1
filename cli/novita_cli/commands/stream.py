"""`novita-gpus stream`: prints the chunks of a job as they come."""

from __future__ import annotations

import shlex

import click

from novita_cli._follow import print_chunks, reattachable
from novita_cli._options import endpoint_argument, job_argument, wait_options
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("stream")
@endpoint_argument
@job_argument
@click.option("--start", type=click.IntRange(min=0), default=0, help="Begin with chunk N, from 0 on.", metavar="N")
@wait_options("Print what there is now.")
@session_options
def command(session: Session, endpoint: str, job: str, start: int, wait: float | None, no_wait: bool) -> None:
    """Print the chunks of JOB as they come.

    Each is one line of JSON; it ends with the job. On a gateway without cursors a chunk is handed out once: two streams
    of one job share its chunks.
    """
    with session.job(endpoint, job) as handle, reattachable(handle):
        if not print_chunks(handle, 0 if no_wait else wait, start):
            where = shlex.join([endpoint, job])
            session.display().say(f"job {job} has no chunks to hand out; its output: novita-gpus output {where}")
