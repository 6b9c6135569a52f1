"""`novita-gpus init`: a folder with a worker to start from."""

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
def command(name: Path, template: str) -> None:
    """Write a worker to start from into the folder NAME.

    It has a handler, a Dockerfile, requirements, and a script that submits a job. sleep is the smallest worker that
    shows everything; comfyui runs ComfyUI workflows; typed has a contract of its own, checked on both sides. Needs no
    API key.
    """
    source = _folder() / f"{template}-worker"
    if not source.is_dir():
        raise CommandError(f"this installation has no template {template!r}", reason="TEMPLATE")
    if name.exists() and not (name.is_dir() and not any(name.iterdir())):
        raise CommandError(f"{str(name)!r} is there already; name a new folder", ExitCode.USAGE, reason="EXISTS")
    try:
        shutil.copytree(source, name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    except OSError as error:
        raise CommandError(f"can't write {str(name)!r}: {error}", reason="FILE") from None
    click.echo(f"wrote {name}; its README.md says how to run it here and how to deploy it", err=True)


def _folder() -> Path:
    """The templates: in the package where it is installed, in `examples/` where the sources are."""
    package = Path(novita_cli.__file__).parent
    installed = package / "_templates"
    return installed if installed.is_dir() else package.parents[1] / "examples"
