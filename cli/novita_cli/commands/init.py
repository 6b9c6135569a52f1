"""`novita-gpus init`: a folder with a worker to start from, new or made of one that was written for another SDK."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import click

import novita_cli
from novita_cli._failures import CommandError, ExitCode

__all__ = ["command"]

_TEMPLATES: Final = ("sleep", "comfyui", "typed")


@click.command("init")
@click.argument("name", type=click.Path(path_type=Path))
@click.option("--template", type=click.Choice(_TEMPLATES), default="sleep", show_default=True, help="What to copy.")
@click.option("--from", "origin", type=click.Choice(["runpod"]), help="What the worker in NAME was written for.")
@click.option("--into", type=click.Path(path_type=Path), help="Where the copy goes; NAME-novita where it is left out.")
def command(name: Path, template: str, origin: str | None, into: Path | None) -> None:
    """Write a worker to start from into the folder NAME.

    It has a handler, a Dockerfile, requirements, and a script that submits a job. sleep is the smallest worker that
    shows everything; comfyui runs ComfyUI workflows; typed has a contract of its own, checked on both sides. Needs no
    API key.

    With --from runpod, NAME is a worker of yours that was written for runpod. It is copied, with its imports and
    requirements changed, and what could not be mapped is listed.
    """
    if origin is not None:
        _port(name, name.with_name(f"{name.resolve().name}-novita") if into is None else into)
        return
    if into is not None:
        raise click.UsageError("--into goes with --from")
    _write_template(name, template)


def _port(source: Path, target: Path) -> None:
    from novita_cli._ported_files import port_folder

    if not source.is_dir():
        raise CommandError(f"{str(source)!r} is no folder; name that of your worker", ExitCode.USAGE, reason="FOLDER")
    if target.resolve().is_relative_to(source.resolve()):
        raise CommandError(f"{str(target)!r} is in the folder that is copied", ExitCode.USAGE, reason="FOLDER")
    _refuse_existing(target)
    try:
        ported = port_folder(source, target)
    except OSError as error:
        raise CommandError(f"can't copy {str(source)!r} to {str(target)!r}: {error}", reason="FILE") from None
    click.echo(f"wrote {target}; changed: {', '.join(map(str, ported.changed)) or 'nothing'}", err=True)
    for path, notes in ported.notes.items():
        for note in notes:
            click.echo(f"{target / path}:{note.line}: {note.text}", err=True)


def _write_template(name: Path, template: str) -> None:
    source = _folder() / f"{template}-worker"
    if not source.is_dir():
        raise CommandError(f"this installation has no template {template!r}", reason="TEMPLATE")
    _refuse_existing(name)
    try:
        shutil.copytree(source, name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    except OSError as error:
        raise CommandError(f"can't write {str(name)!r}: {error}", reason="FILE") from None
    click.echo(f"wrote {name}; its README.md says how to run it here and how to deploy it", err=True)


def _refuse_existing(folder: Path) -> None:
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise CommandError(f"{str(folder)!r} is there already; name a new folder", ExitCode.USAGE, reason="EXISTS")


def _folder() -> Path:
    """The templates: in the package where it is installed, in `examples/` where the sources are."""
    package = Path(novita_cli.__file__).parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parents[1] / "examples"
