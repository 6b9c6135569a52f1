"""`novita-gpus list`: the recent jobs of an endpoint."""

from __future__ import annotations

import itertools

import click

from novita_cli._json import job_document
from novita_cli._options import endpoint_argument
from novita_cli._session import Session, session_options
from novita_cli._stdout import write_stdout
from novita_sdk.wire.states import KNOWN, find_state

__all__ = ["command"]


def _check_state(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    state = None if value is None else find_state(value)
    if state is None and value is not None:
        raise click.BadParameter(f"{value!r} is no state of a job; the states are {', '.join(KNOWN)}", ctx, param)
    return state


@click.command("list")
@endpoint_argument
@click.option("--status", metavar="STATE", callback=_check_state, help="Only jobs in this state, such as FAILED.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many.")
@session_options
def command(session: Session, endpoint: str, status: str | None, limit: int) -> None:
    """Print the recent jobs of ENDPOINT.

    Newest first: id, state, seconds waited, seconds run. With --json an array of objects as `status --json` prints
    them.
    """
    with session.client() as client:
        jobs = list(itertools.islice(client.endpoint(endpoint).jobs(status=status), limit))
    if session.as_json:
        session.emit([job_document(job) for job in jobs])
        return
    for job in jobs:
        write_stdout(f"{job.job_id}  {job.status:<11}  {_seconds(job.delay_time)}  {_seconds(job.execution_time)}")


def _seconds(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.2f'):>9}"
