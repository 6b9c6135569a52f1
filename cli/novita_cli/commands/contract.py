"""`novita-gpus contract`: what is different between two versions of a contract."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import click

from novita_cli._failures import CommandError
from novita_cli._json import compact
from novita_cli._session import AS_JSON
from novita_cli._stdout import write_stdout

__all__ = ["command"]

_VERSION = click.Path(exists=True, path_type=Path)


@click.group("contract")
def command() -> None:
    """Compare versions of a typed contract."""


@command.command("diff")
@click.argument("old", type=_VERSION)
@click.argument("new", type=_VERSION)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON: a list of place, rule, change and effect.")
def diff_command(old: Path, new: Path, as_json: bool) -> None:
    """Print the changes from OLD to NEW that break callers, and exit with 1 if there are any.

    Each is a folder of protos, a file with their descriptors, or what `schema ENDPOINT` printed.
    """
    click.get_current_context().meta[AS_JSON] = as_json
    try:
        import novita_codegen

        changes = novita_codegen.breaking_changes(old, new)
    except ModuleNotFoundError as error:
        raise CommandError(f"contract diff needs {error.name}: pip install 'novita-gpus[codegen]'") from None
    except (novita_codegen.GenerateError, FileNotFoundError) as error:
        raise CommandError(str(error), reason="CONTRACT") from None
    if as_json:
        write_stdout(compact([dataclasses.asdict(change) for change in changes]))
    else:
        for change in changes:
            write_stdout(str(change))
    if changes:
        click.get_current_context().exit(1)
