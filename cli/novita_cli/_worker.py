"""`novita-gpus worker`: runs a worker as the platform does."""

from __future__ import annotations

import importlib.util
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

import click

from novita_cli._target import Target, TargetType

__all__ = ["worker"]


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("target", type=TargetType())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def worker(target: Target, arguments: tuple[str, ...]) -> None:
    """Run a worker in this process, with the variables of the environment.

    FILE is run as a script; with FILE:HANDLER the named function is served. ARGUMENTS go to the script.
    """
    sys.argv = [str(target.file), *arguments]
    sys.path.insert(0, str(target.file.resolve().parent))
    if target.handler is None:
        runpy.run_path(str(target.file), run_name="__main__")
        return
    from novita_worker import start

    start({"handler": _load(target.file, target.handler)})


def _load(file: Path, name: str) -> Callable[..., object]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise click.ClickException(f"{file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    handler = getattr(module, name, None)
    if not callable(handler):
        known = ", ".join(sorted(key for key, value in vars(module).items() if callable(value) and key[0] != "_"))
        raise click.ClickException(f"{file} has no function {name!r}; it has: {known or 'none'}")
    return cast("Callable[..., object]", handler)
