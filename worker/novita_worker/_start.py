"""`start()`: the one call of a worker's main file."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from novita_sdk._interpreter import is_frozen
from novita_worker._config import parse_config
from novita_worker._environment import IS_HEARTBEAT, is_worker_environment, read_environment
from novita_worker._errors import ConfigError
from novita_worker.handlers.spec import inspect_handler
from novita_worker.process.forks import is_multiprocessing, is_starting_up

__all__ = ["start"]

_FIRST: Final = (
    "this worker is process 1 of its container: what programs of its handlers leave behind stays there as zombies; "
    'start it below one that buries them: ENTRYPOINT ["tini", "--", …], or docker run --init'
)
_log: Final = logging.getLogger("novita_worker")


def start(config: Mapping[str, object]) -> None:
    """Serves jobs with a handler until a signal ends the worker.

    Outside a worker environment it runs the handler once, on `--test_input JSON` or `test_input.json`.

    Args:
        config: `{"handler": handler}` and any further fields of `WorkerConfig`.

    Raises:
        ConfigError: The handler can't be called with a job, or a value makes no sense, or this is a frozen program that
            was started in the place of a Python. Nothing was taken.
        SystemExit: The worker broke and is to be replaced, or the local run failed.
    """
    if is_starting_up():
        # A handler uses multiprocessing, and this file does not guard its call with `if __name__ == "__main__"`.
        return
    _refuse_to_run_again()
    arguments, foreign = _parse_arguments()
    settings = parse_config(config)
    spec = inspect_handler(settings.handler, lenient=settings.unknown_fields == "ignore")
    from novita_worker._logs import set_up_logging

    if arguments.test_input is None and is_worker_environment(os.environ):
        environment = read_environment(os.environ)
        set_up_logging(arguments.log_level, os.environ, environment.worker_id)
        for doubt in environment.doubts:
            logging.getLogger("novita_worker").warning("%s", doubt)
        from novita_worker._worker import Worker
        from novita_worker.link.heartbeat import Heartbeat
        from novita_worker.link.http import HttpCalls

        if os.getpid() == 1:
            _log.warning("%s", _FIRST)
        _warn_of(foreign)
        heartbeat = Heartbeat(environment)
        worker = Worker(settings, spec, environment, HttpCalls(environment), heartbeat, os.environ)
        heartbeat.fork()
        code = worker.run()
    else:
        set_up_logging(arguments.log_level, os.environ)
        from novita_worker.local.once import run_locally

        _warn_of(foreign)
        code = run_locally(settings, spec, arguments.test_input)
    if code:
        sys.exit(code)


def _refuse_to_run_again() -> None:
    """A frozen program is what it starts as Python; a worker in there would start the next one, and so on."""
    if IS_HEARTBEAT in os.environ:
        raise ConfigError(
            f"{sys.executable} was started to ping for a worker, and is not Python but a program of its own"
        )
    if is_frozen() and is_multiprocessing(sys.argv):
        raise ConfigError(
            "this is a process of multiprocessing in a frozen program: call multiprocessing.freeze_support() "
            "in the first line of its main file"
        )


def _parse_arguments() -> tuple[argparse.Namespace, list[str]]:
    """Reads the worker's own flags and leaves all others in `sys.argv`, where the user's program finds them.

    Returns:
        The flags, and those among the others that another package's `start` would take.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--log_level", "--rp_log_level")
    parser.add_argument("--test_input")
    arguments, others = parser.parse_known_args()
    sys.argv = [sys.argv[0], *others]
    return arguments, [other.partition("=")[0] for other in others if other.startswith("--rp_")]


def _warn_of(foreign: list[str]) -> None:
    if foreign:
        text = (
            "%s does nothing here: novita-gpus dev %s serves the handler on this machine, over HTTP, with --reload, "
            "and novita_gpus.serverless.start takes runpod's flags"
        )
        _log.warning(text, ", ".join(foreign), Path(sys.argv[0]).name or "FILE")
