"""`serverless.start`: the worker's `start`, with the flags that runpod's has."""

from __future__ import annotations

import argparse
import inspect
import os
import sys
from collections.abc import Callable, Coroutine, Mapping

import novita_worker
from novita_gpus._differences import tell_once
from novita_gpus.serverless.modules import rp_fitness, rp_logger
from novita_worker._environment import is_worker_environment
from novita_worker.process.forks import is_starting_up, leave

__all__ = ["start"]


def start(config: Mapping[str, object]) -> None:
    """Serves jobs with a handler until a signal ends the worker; `novita_worker.start` says more.

    Flags of the command line:

    - `--rp_serve_api`: serve the handler over HTTP on this machine, at `--rp_api_host` and `--rp_api_port`, with
      `--rp_api_concurrency` jobs at once
    - `--rp_debugger`: put the times of the job's steps into its output
    - `--rp_log_level`, `--test_input`: as of `novita_worker.start`

    Args:
        config: `{"handler": handler}` and any further fields of `novita_worker.start`.

    Raises:
        ConfigError: As of `novita_worker.start`.
        SystemExit: As of `novita_worker.start`.
        OSError: The port of the API is taken, or the host is not one of this machine.
    """
    if is_starting_up() or not hasattr(config, "keys"):
        # In a child that multiprocessing spawns nothing is started; what is no dictionary is refused, with the reason.
        novita_worker.start(config)
        return
    flags = _parse_flags()
    rp_logger.set_up()
    tell_once()
    settings = dict(config)
    handler = settings.get("handler")
    if flags.rp_debugger and callable(handler):
        from novita_gpus.serverless.utils.rp_debugger import with_debugger_output

        settings["handler"] = with_debugger_output(handler)
    if flags.rp_serve_api:
        from novita_gpus.serverless._local_api import serve_api

        serve_api(settings, host=flags.rp_api_host, port=flags.rp_api_port, concurrency=flags.rp_api_concurrency)
        return
    if rp_fitness.checks and is_worker_environment(os.environ) and "--test_input" not in sys.argv:
        settings["setup"] = _checked_first(settings.get("setup"))
    novita_worker.start(settings)


def _parse_flags() -> argparse.Namespace:
    """Reads the flags that are runpod's alone, and leaves all others in `sys.argv`."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--rp_debugger", action="store_true")
    parser.add_argument("--rp_serve_api", action="store_true")
    parser.add_argument("--rp_api_port", type=int, default=8000)
    parser.add_argument("--rp_api_concurrency", type=int, default=1)
    parser.add_argument("--rp_api_host", default="localhost")
    flags, others = parser.parse_known_args()
    sys.argv = [sys.argv[0], *others]
    return flags


def _checked_first(setup: object) -> Callable[[], Coroutine[object, object, None]]:
    """A hook that runs the fitness checks before the user's own."""

    async def set_up() -> None:
        try:
            await rp_fitness.run_fitness_checks()
        except RuntimeError as error:
            # Threads of a model that was loaded before the checks would keep the interpreter from ending.
            leave(error)
        if callable(setup):
            outcome = setup()
            if inspect.isawaitable(outcome):
                await outcome

    return set_up
