"""The command group. A command's module loads when the command is asked for, and none loads a client or a server."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Final

import click

from novita_cli._failures import report
from novita_cli._session import AS_JSON
from novita_sdk._version import __version__
from novita_sdk.wire.nearest import nearest

__all__ = ["app"]

_COMMANDS: Final = "novita_cli.commands"
"""The package with a module for each command, of its name with `_` for `-`."""

_EPILOG = """\
Data goes to stdout and everything else to stderr. Outputs are JSON, ids and states plain words; with --json all of
stdout is JSON, one line for each document, and what went wrong is there too.

\b
Exit codes: 0 ok · 1 job failed, or any other failure · 2 wrong arguments or
refused input · 3 no connection, or API key refused · 4 job cancelled ·
124 the wait ran out (the job goes on) · 130 Ctrl-C

dev, worker, gateway, generate, contract, init and completion need no API key.
"""


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        folder = importlib.import_module(_COMMANDS).__path__
        return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(folder))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{_COMMANDS}.{cmd_name.replace('-', '_')}").command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and args[0] not in known and not args[0].startswith("-"):
            near = nearest(args[0], known)
            ctx.fail(f"There is no command {args[0]!r}." + (f" Did you mean {near}?" if near else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except click.exceptions.Exit:
            raise
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - `report` raises again what is a defect
            ctx.exit(report(error, as_json=bool(ctx.meta.get(AS_JSON))))


@click.group(cls=_Group, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def app() -> None:
    """Jobs on serverless GPUs: run them, serve them, and try both on this machine."""
