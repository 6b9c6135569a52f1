"""The processes that a handler starts: what it says there about its job does not reach the worker, and is told of."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

__all__ = ["runs_here", "warn_in_child"]

_homes: Final[set[int]] = set()
"""The processes, this one or those it was forked from, that run jobs."""
_warned: Final[set[int]] = set()

_log: Final = logging.getLogger("novita_worker")


def runs_here() -> None:
    """Jobs run in this process."""
    _homes.add(os.getpid())


def warn_in_child(job_id: str) -> None:
    """Says once in a process that a handler started that its worker hears nothing from there."""
    process = os.getpid()
    if process in _homes or process in _warned or not (_homes or _was_started_by_worker()):
        return
    _warned.add(process)
    _log.warning(
        "job %s: progress, checkpoint and cancelled do nothing in process %d, which a handler started: send what it "
        "has to say back to the handler, over a multiprocessing queue or as results of imap, and report it there; the "
        "handler's on_cancel can end the process",
        job_id,
        process,
    )


def _was_started_by_worker() -> bool:
    """Whether this process, which never ran a job and was not forked, has a worker above it."""
    module = sys.modules.get("multiprocessing.process")
    is_spawned = module is not None and module.parent_process() is not None
    return is_spawned or "NOVITA_WEBHOOK_GET_JOB" in os.environ or "RUNPOD_WEBHOOK_GET_JOB" in os.environ
