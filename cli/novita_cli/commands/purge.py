"""`novita-gpus purge`: removes the jobs of an endpoint that wait."""

from __future__ import annotations

import sys

import click

from novita_cli._failures import CommandError
from novita_cli._options import endpoint_argument
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("purge")
@endpoint_argument
@click.option("-y", "--yes", is_flag=True, help="Don't ask.")
@session_options
def command(session: Session, endpoint: str, yes: bool) -> None:
    """Remove the jobs of ENDPOINT that wait.

    Those that run are left alone.
    """
    with session.client() as client:
        target = client.endpoint(endpoint)
        if not yes:
            if not sys.stdin.isatty():
                raise click.UsageError("purge asks first, and there is nobody to ask; -y says yes")
            if not click.confirm(f"Remove all jobs of {endpoint} that wait?", err=True):
                raise CommandError("nothing was removed", reason="DECLINED")
        session.emit(target.purge_queue())
