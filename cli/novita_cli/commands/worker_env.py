"""`novita-gpus worker-env`: what connects a worker to a gateway."""

from __future__ import annotations

import shlex

import click

from novita_cli._stdout import write_stdout

__all__ = ["command"]

_TOKEN_VARIABLE = "NOVITA_GATEWAY_WORKER_TOKEN"  # noqa: S105 - the variable's name
_FLAVOURS = click.Choice(["novita", "runpod"])


@click.command("worker-env")
@click.argument("endpoint")
@click.option("--gateway", "url", required=True, metavar="URL", help="The gateway's base URL, ending in /v1.")
@click.option(
    "--token", envvar=_TOKEN_VARIABLE, required=True, help=f"The gateway's worker token; default: ${_TOKEN_VARIABLE}."
)
@click.option("--flavour", type=_FLAVOURS, default="novita", help="Whose variable names.", show_default=True)
@click.option("--worker-id", help="Must differ between workers; left out, one is made up.")
def command(url: str, token: str, endpoint: str, flavour: str, worker_id: str | None) -> None:
    """Print the variables that connect a worker of ENDPOINT.

    For a shell: eval "$(novita-gpus worker-env ENDPOINT --gateway URL)"
    """
    from novita_gateway import worker_env as make

    try:
        variables = make(
            endpoint, url=url, token=token, flavour="runpod" if flavour == "runpod" else "novita", worker_id=worker_id
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    for name, value in variables.items():
        write_stdout(f"export {name}={shlex.quote(value)}")
