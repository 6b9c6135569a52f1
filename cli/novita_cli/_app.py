"""The command group. A command's module loads when the command runs, so that `--help` is quick."""

from __future__ import annotations

import importlib
from typing import cast

import click

from novita_sdk._version import __version__

__all__ = ["app"]

_COMMANDS = {
    "dev": "novita_cli._dev",
    "generate": "novita_cli._generate",
    "worker": "novita_cli._worker",
    "worker-env": "novita_cli._worker_env",
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name])
        return cast("click.Command", getattr(module, cmd_name.replace("-", "_")))


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def app() -> None:
    """Jobs on serverless GPUs: run them, serve them, and try both on this machine."""
