"""Commands about an endpoint: `health`, `schema`, `purge`, `list`."""

from __future__ import annotations

import itertools
import sys

import click

from novita_cli._documents import document
from novita_cli._failures import Failure
from novita_cli._options import endpoint_argument
from novita_cli._session import Session, session_options
from novita_cli._stdout import write_stdout

__all__ = ["health_command", "list_command", "purge_command", "schema_command"]


@click.command("health")
@endpoint_argument
@session_options
def health_command(session: Session, endpoint: str) -> None:
    """Print how many jobs and workers ENDPOINT has."""
    with session.client() as client:
        session.emit(client.endpoint(endpoint).health())


@click.command("schema")
@endpoint_argument
@session_options
def schema_command(session: Session, endpoint: str) -> None:
    """Print the types of inputs and outputs of ENDPOINT.

    They are JSON Schemas. Only a typed worker tells them; without one the exit code is 1.
    """
    with session.client() as client:
        schema = client.endpoint(endpoint).schema()
    if schema is None:
        raise Failure(f"the worker of {endpoint} told no types, or the gateway does not keep them", reason="NO_SCHEMA")
    session.emit(schema)


@click.command("purge")
@endpoint_argument
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@session_options
def purge_command(session: Session, endpoint: str, yes: bool) -> None:
    """Remove the jobs of ENDPOINT that wait.

    Those that run are left alone.
    """
    with session.client() as client:
        target = client.endpoint(endpoint)
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("purge asks first, and there is nobody to ask; -y says yes")
            if not click.confirm(f"Remove all jobs of {endpoint} that wait?", err=True):
                raise Failure("nothing was removed", reason="DECLINED")
        session.emit(target.purge_queue())


@click.command("list")
@endpoint_argument
@click.option("--status", metavar="STATE", help="Only jobs in this state, such as FAILED.")
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="At most this many.")
@session_options
def list_command(session: Session, endpoint: str, status: str | None, limit: int) -> None:
    """Print the recent jobs of ENDPOINT.

    Newest first: id, state, seconds waited, seconds run. With --json an array of objects as `status --json` prints
    them.
    """
    with session.client() as client:
        jobs = list(itertools.islice(client.endpoint(endpoint).jobs(status=status), limit))
    if session.as_json:
        session.emit([document(job) for job in jobs])
        return
    for job in jobs:
        write_stdout(f"{job.job_id}  {job.status:<11}  {_seconds(job.delay_time)}  {_seconds(job.execution_time)}")


def _seconds(value: float | None) -> str:
    return f"{'-' if value is None else format(value, '.2f'):>9}"
