"""`novita-gpus schema`: the types of inputs and outputs of an endpoint."""

from __future__ import annotations

import click

from novita_cli._failures import CommandError
from novita_cli._options import endpoint_argument
from novita_cli._session import Session, session_options

__all__ = ["command"]


@click.command("schema")
@endpoint_argument
@click.option("--raw", is_flag=True, help="Print the descriptors of protobuf messages too, in base64.")
@session_options
def command(session: Session, endpoint: str, raw: bool) -> None:
    """Print the types of inputs and outputs of ENDPOINT.

    They are JSON Schemas. Only a typed worker tells them; without one the exit code is 1.
    """
    with session.client() as client:
        schema = client.endpoint(endpoint).schema()
    if schema is None:
        raise CommandError(
            f"the worker of {endpoint} told no types, or the gateway does not keep them", reason="NO_SCHEMA"
        )
    session.emit(schema if raw else {name: value for name, value in schema.items() if name != "descriptors"})
