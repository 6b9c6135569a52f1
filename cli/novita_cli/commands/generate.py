"""`novita-gpus generate`: typed models, clients and workers from protos."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["command"]


@click.command("generate")
@click.argument("proto_dir", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Where the code goes.")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if something in --out is stale.")
def command(proto_dir: Path, out: Path, check: bool) -> None:
    """Write typed clients and workers from PROTO_DIR."""
    try:
        import novita_codegen
    except ModuleNotFoundError as error:
        raise click.ClickException(f"generate needs {error.name}: pip install 'novita-gpus[codegen]'") from None
    try:
        changes = novita_codegen.generate(proto_dir, out, check=check)
    except novita_codegen.GenerateError as error:
        raise click.ClickException(str(error)) from None
    for change in changes:
        click.echo(f"{change.kind if check else change.done}: {change.path}", err=True)
    if check and changes:
        raise click.ClickException(f"{out} is not up to date with {proto_dir}; run it again without --check")
