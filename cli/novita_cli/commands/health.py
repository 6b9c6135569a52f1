"""`novita-gpus health`: the numbers of jobs and workers of an endpoint."""

from __future__ import annotations

import click

from novita_cli._options import endpoint_argument
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("health")
@endpoint_argument
@session_options
def command(session: Session, endpoint: str) -> None:
    """Print how many jobs and workers ENDPOINT has."""
    with session.client() as client:
        session.emit(client.endpoint(endpoint).health())
