"""The dictionary that `start()` takes."""

from __future__ import annotations

import difflib
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeGuard, cast

from novita_worker._errors import ConfigError
from novita_worker._options import WorkerOptions

__all__ = ["WorkerConfig", "parse_config"]

_log: Final = logging.getLogger("novita_worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """What a user can say about a worker. Each field is a key of `start()`'s dictionary; times are seconds.

    Attributes:
        handler: Called with each job.
        concurrency: Jobs that run at once.
        concurrency_modifier: Called with the current concurrency, returns the next.
        refresh_worker: Whether the worker is replaced after every job.
        return_aggregate_stream: Whether a generator's chunks are repeated in its result.
        prefetch: Jobs held ready while others run.
        progress_interval: Least time between two progress posts of a job.
        shutdown_timeout: Longest time that running jobs get to end at shutdown; None waits as long as they take.
        spool_dir: Where results are kept until they are delivered; default `NOVITA_SPOOL_DIR`.
        setup: Called once before the first job is taken.
        teardown: Called once after the last job.
        max_jobs: Jobs after which the worker exits.
        max_rss_mb: Resident memory in MiB after which the worker exits when its jobs are done.
        job_timeout: Longest time a job may run.
        offload: Where files, and outputs that are too large, go: `auto` (the job's or the environment's bucket, or the
            gateway's store) or `never`.
        own_loop: Whether each job of an async handler gets a thread and an event loop of its own, so that one that
            blocks holds up no other.
        unknown_fields: What a typed handler's input does with members that its type doesn't know: `refuse` or `ignore`.
    """

    handler: object
    concurrency: int = 1
    concurrency_modifier: Callable[[int], int] | None = None
    refresh_worker: bool = False
    return_aggregate_stream: bool = False
    prefetch: int = 0
    progress_interval: float = 0.2
    shutdown_timeout: float | None = 120.0
    spool_dir: str | os.PathLike[str] | None = None
    setup: Callable[[], object] | None = None
    teardown: Callable[[], object] | None = None
    max_jobs: int | None = None
    max_rss_mb: float | None = None
    job_timeout: float | None = None
    offload: str = "auto"
    own_loop: bool = False
    unknown_fields: str = "refuse"


_OPTIONS: Final = tuple(WorkerOptions.__annotations__)
_KEYS: Final = ("handler", *_OPTIONS)
_OWN_KEYS: Final = frozenset({"rp_args"})
"""Keys that the published package writes into the dictionary itself."""


def parse_config(config: Mapping[str, object]) -> WorkerConfig:
    """Checks the dictionary. Keys that mean nothing are warned about.

    Raises:
        ConfigError: The dictionary has no handler, or a value is of the wrong type; the message names the key.
    """
    if not isinstance(config, Mapping):
        raise ConfigError(f'start() takes a dictionary, start({{"handler": handler}}), not {type(config).__name__}')
    if config.get("handler") is None:
        raise ConfigError('start() needs a handler: start({"handler": handler})')
    for key in config:
        if key not in _KEYS and key not in _OWN_KEYS:
            _warn_unknown(key)
    values = {key: config[key] for key in _OPTIONS if key in config and config[key] is not None}
    for key, value in values.items():
        if problem := _problem(key, value):
            raise ConfigError(f"start(): {key} must be {problem}, not {value!r}")
    if "shutdown_timeout" in config and config["shutdown_timeout"] is None:
        values["shutdown_timeout"] = None
    options = cast("WorkerOptions", values)  # which `_problem` has seen to
    return WorkerConfig(handler=config["handler"], **options)


def _warn_unknown(key: object) -> None:
    close = difflib.get_close_matches(str(key), _KEYS, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    _log.warning("start() does not know the key %r and ignores it%s", key, hint)


def _problem(key: str, value: object) -> str | None:
    """What the value should have been, or None if it is right."""
    match key:
        case "concurrency" | "max_jobs":
            return None if _is_int(value) and value >= 1 else "a whole number of at least 1"
        case "prefetch":
            return None if _is_int(value) and value >= 0 else "a whole number of at least 0"
        case "progress_interval" | "shutdown_timeout":
            return None if _is_number(value) and value >= 0 else "a number of seconds"
        case "job_timeout" | "max_rss_mb":
            return None if _is_number(value) and value > 0 else "a number above 0"
        case "refresh_worker" | "return_aggregate_stream" | "own_loop":
            return None if isinstance(value, (bool, int)) else "True or False"
        case "setup" | "teardown" | "concurrency_modifier":
            return None if callable(value) else "callable"
        case "offload":
            return None if value in ("auto", "never") else '"auto" or "never"'
        case "unknown_fields":
            return None if value in ("refuse", "ignore") else '"refuse" or "ignore"'
        case "spool_dir":
            return None if isinstance(value, (str, os.PathLike)) else "a path"
        case _:
            return None


def _is_int(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
