"""`novita-gpus worker`: runs a worker as the platform does."""

from __future__ import annotations

import importlib.util
import os
import runpy
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import cast

import click

from novita_cli._failures import CommandError, ExitCode
from novita_cli._target import Target, target_argument

__all__ = ["command"]

_ORPHAN_SECONDS = 2.0
"""What a worker has to end in once the process that it is tied to is gone."""


@click.command("worker", context_settings={"ignore_unknown_options": True})
@target_argument
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option("--tied", is_flag=True, hidden=True, help="End when standard input does.")
def command(target: Target, arguments: tuple[str, ...], tied: bool) -> None:
    """Run a worker, as the platform does.

    It finds its gateway in the variables of the environment. FILE is run as a script; with FILE:HANDLER the named
    function is served. ARGUMENTS go to the script.
    """
    if tied:
        _tie_to_stdin()
    from novita_worker import ConfigError, start

    # As a script has it, of which `asyncio.run` makes a difference.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv = [str(target.file), *arguments]
    sys.path.insert(0, str(target.file.resolve().parent))
    try:
        if target.handler is None:
            runpy.run_path(str(target.file), run_name="__main__")
        else:
            start({"handler": _load(target.file, target.handler)})
    except ConfigError as error:
        raise CommandError(str(error), ExitCode.USAGE, reason="CONFIG") from None
    except click.ClickException:
        raise
    except Exception as error:  # noqa: BLE001 - the user's own, which is shown as Python shows it
        _show(error, target.file)
        sys.exit(ExitCode.FAILED)


def _load(file: Path, name: str) -> Callable[..., object]:
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise CommandError(f"{file} is not a Python file", ExitCode.USAGE, reason="CONFIG")
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    handler = getattr(module, name, None)
    if not callable(handler):
        own = (key for key, value in vars(module).items() if getattr(value, "__module__", None) == module.__name__)
        known = ", ".join(sorted(key for key in own if callable(getattr(module, key)) and not key.startswith("_")))
        raise CommandError(
            f"{file} has no function {name!r}; it has: {known or 'none'}", ExitCode.USAGE, reason="CONFIG"
        )
    return cast("Callable[..., object]", handler)


def _show(error: Exception, file: Path) -> None:
    """Prints a traceback that begins in the user's file."""
    trace = error.__traceback__
    while trace is not None and Path(trace.tb_frame.f_code.co_filename).resolve() != file.resolve():
        trace = trace.tb_next
    if trace is None and not isinstance(error, SyntaxError):
        trace = error.__traceback__
    traceback.print_exception(type(error), error, trace)


def _tie_to_stdin() -> None:
    """Ends this process, and what it started, when standard input ends; handlers find an empty one."""
    lifeline = os.dup(0)
    with Path(os.devnull).open("rb") as null:
        os.dup2(null.fileno(), 0)

    def watch() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(_ORPHAN_SECONDS)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="novita-lifeline", daemon=True).start()
