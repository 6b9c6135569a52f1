"""The handlers that run, or are about to."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final, Protocol

from novita_worker._config import WorkerConfig
from novita_worker._logs import keep_logging
from novita_worker.desk.actions import CancelReason, TakenJob
from novita_worker.handlers.children import runs_here
from novita_worker.handlers.context import JobContext, Reports, running_contexts, start_folder
from novita_worker.handlers.lanes import Lanes
from novita_worker.handlers.outcome import Writer
from novita_worker.handlers.run import JobRun, Sink

__all__ = ["RunEvents", "Runs"]

STALL: Final = 1.0
"""Seconds that a job may wait for a shared event loop before the log says what blocks it."""

_log: Final = logging.getLogger("novita_worker")


class RunEvents(Reports, Sink, Protocol):
    """Takes all that comes out of a run."""


class Runs:
    """Makes runs, starts them in their lanes, and keeps them until they end. Belongs to the I/O loop.

    Args:
        lanes: Where handlers run.
        writer: Writes outcomes.
        events: Takes what comes out.
        worker_id: Who runs the jobs.
        config: Says what becomes of a generator's chunks, and whether each job has an event loop of its own.
    """

    def __init__(
        self, lanes: Lanes, writer: Writer, events: RunEvents, config: WorkerConfig, *, worker_id: str
    ) -> None:
        self._lanes = lanes
        self._writer = writer
        self._events = events
        self._worker_id = worker_id
        self._config = config
        self._folder = start_folder()
        self._runs: dict[str, JobRun] = {}
        runs_here()

    def get(self, job_id: str) -> JobRun | None:
        """The run of a job that has not ended."""
        return self._runs.get(job_id)

    def prepare(self, job: TakenJob) -> None:
        """Puts a run behind the one that has the main thread."""
        self._lanes.submit(self._make(job), alone=True)

    def start(self, job: TakenJob, *, time_left: float | None, alone: bool) -> None:
        """Starts a run, or notes that one that was prepared may begin.

        Args:
            job: The job.
            time_left: Seconds that it may run, or None.
            alone: Whether no other may run beside it.
        """
        loop = asyncio.get_running_loop()
        run = self._runs.get(job.id) or self._make(job)
        run.started_at = time.monotonic()
        run.context.deadline = None if time_left is None else time.time() + time_left
        _log.debug("job %s starts", job.id)
        if not run.has_begun:
            self._lanes.submit(run, alone=alone)
        if not alone and not self._lanes.prepares:
            loop.call_later(STALL, self._check_begun, run)

    def cancel(self, job_id: str, reason: CancelReason) -> None:
        """Asks a run to end, or keeps it from beginning."""
        _log.info("job %s is cancelled: %s", job_id, reason.value, extra={"job_id": job_id})
        if (run := self._runs.get(job_id)) and not self._revoke(run):
            run.cancel(reason.value)

    def discard(self, job_id: str) -> None:
        """Forgets a run that never started; one that was prepared may have begun all the same, and is to end."""
        text = "job %s was taken but not started; its lease runs out and it is offered again"
        _log.warning(text, job_id, extra={"job_id": job_id})
        if (run := self._runs.get(job_id)) and not self._revoke(run):
            run.cancel(CancelReason.SHUTDOWN.value)

    def end(self, job_id: str) -> JobRun:
        """Takes out a run whose handler ended."""
        running_contexts.pop(job_id, None)
        keep_logging()
        return self._runs.pop(job_id)

    def _make(self, job: TakenJob) -> JobRun:
        context = JobContext(job.members, reports=self._events, worker_id=self._worker_id, folder=self._folder)
        run = JobRun(
            context,
            self._writer,
            self._events,
            aggregate=self._config.return_aggregate_stream,
            limit=job.timeout,
            own_loop=self._config.own_loop,
        )
        self._runs[job.id] = run
        running_contexts[job.id] = context
        return run

    def _revoke(self, run: JobRun) -> bool:
        """Keeps a run that is only prepared from beginning; whether that came in time."""
        if run.started_at is not None or not run.claim():
            return False
        self.end(run.context.id)
        return True

    def _check_begun(self, run: JobRun) -> None:
        if run.has_begun or (place := self._lanes.blocked_at) is None:
            return
        advice = 'use a sync handler, asyncio.to_thread, or "own_loop": True'
        text = "job %s waits: another one blocks the event loop at %s; %s"
        _log.warning(text, run.context.id, place, advice, extra={"job_id": run.context.id})
