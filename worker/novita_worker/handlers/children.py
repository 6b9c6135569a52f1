"""The processes that a handler starts: what they say of its job goes to the worker, or they are told that it can't."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Final

from novita_worker.process.child_calls import GO_ON, OVER, call, is_reachable

__all__ = ["is_child", "report", "runs_here", "stop_reason", "warn_in_child"]

ASK_INTERVAL: Final = 0.05
"""Seconds for which an answer counts where a child only asks, as a loop around `cancelled` does."""

_homes: Final[set[int]] = set()
"""The processes, this one or those it was forked from, that run jobs."""
_warned: Final[set[tuple[int, str]]] = set()
_known: Final[dict[str, tuple[float, str | None]]] = {}
"""When this process last heard of a job, and what."""

_log: Final = logging.getLogger("novita_worker")


def runs_here() -> None:
    """Jobs run in this process."""
    _homes.add(os.getpid())


def is_child() -> bool:
    """Whether a handler started this process."""
    return os.getpid() not in _homes and (bool(_homes) or is_reachable() or _was_started_by_worker())


def report(job_id: str, progress: bytes) -> None:
    """Gives the worker a job's progress, from a child."""
    if _call(job_id, progress) == OVER:
        _log.debug("progress of a job that is over is not sent")


def stop_reason(job_id: str) -> str | None:
    """Why a job is to end, as a child asks for it; None while it isn't, or where the worker can't be asked."""
    heard = _known.get(job_id)
    if heard is None or time.monotonic() - heard[0] > ASK_INTERVAL:
        answer = _call(job_id)
        reason = None if answer == GO_ON else "the job is over" if answer == OVER else answer
        _known.clear()  # of one job after the other
        heard = _known[job_id] = (time.monotonic(), reason)
    return heard[1]


def warn_in_child(job_id: str, what: str, instead: str) -> None:
    """Says once in a process that a handler started what its worker can't do for it there."""
    key = (os.getpid(), what)
    if is_child() and key not in _warned:
        _warned.add(key)
        _log.warning("job %s: %s in process %d, which a handler started: %s", job_id, what, os.getpid(), instead)


def _call(job_id: str, progress: bytes = b"") -> str:
    try:
        return call(job_id, progress)
    except OSError as error:
        what = "progress, checkpoint and cancelled do nothing"
        reason = str(error) if is_reachable() else "it was not told of its worker"
        warn_in_child(job_id, what, f"{reason}; send what it has to say to the handler, over a queue or as results")
        return GO_ON


def _was_started_by_worker() -> bool:
    """Whether this process, which never ran a job and was not forked, has a worker above it."""
    module = sys.modules.get("multiprocessing.process")
    is_spawned = module is not None and module.parent_process() is not None
    return is_spawned or "NOVITA_WEBHOOK_GET_JOB" in os.environ or "RUNPOD_WEBHOOK_GET_JOB" in os.environ
