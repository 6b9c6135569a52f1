"""The I/O side of a worker, which carries events to the desk and does what the desk says.

Everything here runs on the I/O loop, but for the methods of `Reports` and `Sink`, which handlers call from their own
threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from collections.abc import Callable, Coroutine
from typing import Final, assert_never

from novita_sdk.threads import WORKER_THREADS
from novita_worker._config import WorkerConfig
from novita_worker._environment import Environment
from novita_worker._inbox import Inbox
from novita_worker.desk.actions import (
    Action,
    AskConcurrency,
    BeginTake,
    Cancel,
    Close,
    DeskLimits,
    Discard,
    EndTake,
    Prepare,
    SetPing,
    Start,
    TakenJob,
)
from novita_worker.desk.desk import Desk
from novita_worker.desk.outbox import Post, PostKind, WorkerFault
from novita_worker.handlers.concurrency import Modifier
from novita_worker.handlers.context import JobContext
from novita_worker.handlers.lanes import Lanes
from novita_worker.handlers.outcome import Outcome, Recycle, Writer
from novita_worker.handlers.running import Runs
from novita_worker.link.delivery import Delivery, Verdict
from novita_worker.link.protocol import CallFailure, GatewayCalls, Pulse, TakeReply
from novita_worker.link.replays import Replays
from novita_worker.link.schema import publish
from novita_worker.link.spool import Spool
from novita_worker.link.stops import StopWatch
from novita_worker.link.takes import Takes
from novita_worker.process.memory import resident_mb

__all__ = ["Engine"]

ABANDON_GRACE: Final = 1.0
"""How long the main thread gets to end by itself after a handler did not, in seconds."""

CLOSE_TIMEOUT: Final = 5.0
"""How long background work of handlers may hold up the end of the process, in seconds."""

LONG_JOB: Final = 0.1
"""Seconds from which on a job that is done is worth a line at INFO."""

_log: Final = logging.getLogger("novita_worker")


class Engine:
    """One worker's I/O. Make it anywhere, then `run` it on the I/O loop.

    Args:
        config: What the user asked for.
        environment: Who the worker is.
        gateway: Where jobs come from and results go.
        heartbeat: Tells the gateway that the worker lives.
        writer: Writes outcomes.
        lanes: Run handlers.
        spool: Keeps results until they are acknowledged, or None.
    """

    def __init__(
        self,
        config: WorkerConfig,
        environment: Environment,
        gateway: GatewayCalls,
        heartbeat: Pulse,
        writer: Writer,
        lanes: Lanes,
        spool: Spool | None,
    ) -> None:
        self._config = config
        self._writer = writer
        self._lanes = lanes
        self._gateway = gateway
        self._spool = spool
        self._delivery = Delivery(gateway, self._spool)
        self._replays = Replays(self._spool, gateway, self._ping)
        self._heartbeat = heartbeat
        modifier = config.concurrency_modifier
        self._modifier = None if modifier is None else Modifier(modifier, self._concurrency_answered)
        self._desk = Desk(
            DeskLimits(
                concurrency=config.concurrency,
                prefetch=config.prefetch,
                prepares=lanes.prepares,
                scaling=config.concurrency_modifier is not None,
                max_jobs=1 if config.refresh_worker else config.max_jobs,
                progress_interval=config.progress_interval,
                shutdown_timeout=config.shutdown_timeout,
            ),
            random.random,
        )
        self._inbox = Inbox(self._perform)
        self._ids: tuple[str, ...] = ()
        self._runs = Runs(lanes, writer, self, config, worker_id=environment.worker_id)
        self._streams: set[str] = set()
        self._tasks: set[asyncio.Task[object]] = set()
        self._post_tasks: dict[str, asyncio.Task[None]] = {}
        self._alarm: asyncio.TimerHandle | None = None
        self._alarm_at: float | None = None
        self._takes = Takes(gateway, self._on_take)
        self._stops: StopWatch
        self._closed: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self.exit_code = 0

    async def run(self, ready: Callable[[], None]) -> None:
        """Serves until the desk says that all is over.

        Args:
            ready: Called when the engine takes calls from other threads.
        """
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        try:
            await self._gateway.open()
            self._heartbeat.start()
            self._stops = StopWatch(self._gateway, self._on_stops)
            self._spawn(self._stops.run())
            if self._writer.spec.describe is not None:
                self._spawn(publish(self._gateway, self._writer.spec.describe))
            await self._replays.begin(self._spawn)
            self._inbox.open()
            ready()
            await self._closed.wait()
        finally:
            self._inbox.close()
            await self._free()

    async def _free(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        await self._takes.close()
        tasks = [*self._tasks, *self._post_tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._heartbeat.stop()
        if self._modifier is not None:
            self._modifier.stop()
        if self._spool is not None:
            await WORKER_THREADS.run(self._spool.close)
        await self._gateway.close()

    # Called from any thread.

    def begin(self) -> None:
        """The worker is set up; jobs may come."""
        self._inbox.put(lambda: self._desk.begin(self._now))

    def shutdown(self) -> None:
        """End in good order."""
        self._inbox.put(lambda: self._desk.shutdown(self._now))

    def progress(self, context: JobContext) -> None:
        """A handler has new progress."""
        self._inbox.put(lambda: self._on_progress(context))

    def chunk(self, job_id: str, chunk: bytes) -> None:
        """A generator yielded."""
        self._inbox.put(lambda: self._desk.chunk(job_id, chunk, self._now))

    def finished(self, job_id: str, outcome: Outcome) -> None:
        """A handler ended."""
        self._inbox.put(lambda: self._on_finished(job_id, outcome))

    def recycle(self) -> None:
        """End in good order and be replaced: something is broken."""
        self.exit_code = 1
        self._inbox.put(lambda: self._desk.shutdown(self._now, patient=True))

    def end_soon(self) -> None:
        """The lanes are being closed; where that takes too long, the process ends without it."""
        self._inbox.put(self._on_end_soon)

    def end(self) -> None:
        """All is done; `run` returns."""
        self._inbox.put(self._on_end)

    # Events.

    @property
    def _now(self) -> float:
        # Not the loop's own, which may stand still for the length of a turn.
        return time.monotonic()

    def _on_take(self, reply: TakeReply | CallFailure, waited: float) -> None:
        match reply:
            case CallFailure():
                actions = self._desk.take_failed(reply.failure, self._now)
            case TakeReply(jobs=(), broken=()):
                actions = self._desk.take_empty(self._now, waited=waited)
            case TakeReply():
                for job_id, reason in reply.broken:
                    if job_id is not None:  # what has no name was told of with the take
                        self._refuse_job(job_id, reason)
                jobs = [self._limit(job) for job in reply.jobs if not self._replays.covers(job)]
                actions = self._desk.taken(jobs, self._now)
            case _:
                assert_never(reply)
        self._perform(actions)

    def _limit(self, job: TakenJob) -> TakenJob:
        limit = self._config.job_timeout
        if limit is None or (job.timeout is not None and job.timeout <= limit):
            return job
        return job._replace(timeout=limit)

    def _refuse_job(self, job_id: str, reason: str) -> None:
        _log.error("the gateway gave a job that can't run: %s", reason, extra={"job_id": job_id})
        body = self._writer.failed(WorkerFault(code="INVALID_JOB", message=f"the job can't run: {reason}"))
        self._spawn(self._delivery.deliver(job_id, PostKind.RESULT, body, is_stream=False))

    def _on_progress(self, context: JobContext) -> list[Action]:
        body = context.take_progress()
        return [] if body is None else self._desk.progress(context.id, body, self._now)

    def _on_finished(self, job_id: str, outcome: Outcome) -> list[Action]:
        run = self._runs.end(job_id)
        if self._desk.awaits(job_id):
            if run.is_stream:
                self._streams.add(job_id)
            if self._spool is not None:
                self._delivery.keep(job_id, *self._desk.chunks(job_id), outcome.body, is_stream=run.is_stream)
        actions: list[Action] = []
        if (reason := self._reason_to_end(outcome)) is not None:
            _log.info("the worker ends when its jobs are done: %s", reason)
            actions = self._desk.shutdown(self._now, patient=True)
        seconds = 0.0 if run.started_at is None else self._now - run.started_at
        # A line for each of a thousand jobs a second would cost more than the jobs.
        if outcome.error is not None or seconds >= LONG_JOB or _log.isEnabledFor(logging.DEBUG):
            # Later, because the next take must not wait for a log line.
            self._loop.call_later(0, self._log_end, job_id, outcome.error, seconds)
        return actions + self._desk.finished(job_id, outcome.body, self._now)

    def _reason_to_end(self, outcome: Outcome) -> str | None:
        if outcome.recycle is not None:
            if outcome.recycle is not Recycle.REFRESH:
                self.exit_code = 1
            return outcome.recycle.value
        limit = self._config.max_rss_mb
        if limit is not None and (used := resident_mb()) > limit:
            return f"it has {used:.0f} MiB, and its limit is {limit:.0f}"
        return None

    def _on_end_soon(self) -> list[Action]:
        self._loop.call_later(CLOSE_TIMEOUT, self._on_late_end)
        return []

    def _on_late_end(self) -> None:
        _log.error("what handlers left running in the background does not end")
        self._abandon()

    def _on_end(self) -> list[Action]:
        self._closed.set()
        return []

    def _log_end(self, job_id: str, error: str | None, seconds: float) -> None:
        about = {"job_id": job_id}
        if error is not None:
            _log.error("job %s failed: %.500s", job_id, error, extra=about)
            return
        level = logging.INFO if seconds >= LONG_JOB else logging.DEBUG
        _log.log(level, "job %s done in %.3f s", job_id, seconds, extra=about)

    def _on_stops(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            self._spawn(self._delivery.forget(job_id))
        self._perform(self._desk.stop_ordered(job_ids, self._now))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            self._do(action)
        self._stops.want(wanted=self._desk.running > 0)
        self._set_alarm()

    def _set_alarm(self) -> None:
        wake = self._desk.next_wake
        if wake == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = wake
        self._alarm = None if wake is None else self._loop.call_later(wake - self._now, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = self._alarm_at = None
        # Loops round to their clock's resolution, a millisecond, and may call this a hair too early.
        self._perform(self._desk.tick(self._now + 1e-3))

    # Actions.

    def _do(self, action: Action) -> None:
        match action:
            case SetPing():
                self._ids = action.ids
                self._ping()
            case Start():
                time_left = None if action.deadline is None else action.deadline - self._now
                self._runs.start(action.job, time_left=time_left, alone=action.alone)
            case BeginTake():
                self._takes.begin(action)
            case Post():
                # Not `_spawn`: its callback costs a turn of the loop, and there is one post of a job at a time.
                self._post_tasks[action.job_id] = self._loop.create_task(self._deliver(action))
            case Prepare():
                self._runs.prepare(action.job)
            case Cancel():
                self._runs.cancel(action.job_id, action.reason)
            case Discard():
                self._runs.discard(action.job_id)
            case AskConcurrency():
                if self._modifier is not None:
                    self._modifier.ask(action.current)
            case EndTake():
                self._takes.end_soon()
            case Close():
                self._close(action)
            case _:
                assert_never(action)

    def _spawn(self, coroutine: Coroutine[object, None, object]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _concurrency_answered(self, concurrency: int | None) -> None:
        self._inbox.put(lambda: self._desk.concurrency_answered(concurrency, self._now))

    async def _deliver(self, post: Post) -> None:
        job_id = post.job_id
        about = {"job_id": job_id}
        run = self._runs.get(job_id)
        is_stream = job_id in self._streams or (run is not None and run.is_stream)
        body = post.body if isinstance(post.body, bytes) else self._writer.failed(post.body)
        try:
            verdict, problem = await self._delivery.deliver(
                job_id, post.kind, body, is_stream=is_stream, place=post.place
            )
        except Exception:  # noqa: BLE001  whatever it is, it must not strand a job
            _log.exception("the %s of job %s could not be delivered", post.kind.value, job_id, extra=about)
            verdict, problem = Verdict.LOST, None
        del self._post_tasks[job_id]
        if post.kind is PostKind.CHUNK and run is not None:
            run.delivered(len(body))
        reason = problem.reason if problem is not None else ""
        match verdict:
            case Verdict.DELIVERED:
                actions = self._desk.delivered(job_id, self._now)
            case Verdict.REFUSED:
                _log.error("the gateway refused the %s of job %s: %s", post.kind.value, job_id, reason, extra=about)
                message = f"the gateway refused the {post.kind.value} ({len(body):,} bytes): {reason}"
                fault = WorkerFault(code="OUTPUT_REFUSED", message=message)
                actions = self._desk.refused(job_id, fault, self._now)
            case Verdict.LOST:
                _log.error("the %s of job %s could not be delivered: %s", post.kind.value, job_id, reason, extra=about)
                actions = self._desk.lost(job_id, self._now)
            case _:
                assert_never(verdict)
        if job_id in self._streams and job_id not in self._desk:
            self._streams.remove(job_id)
        self._perform(actions)

    def _ping(self) -> None:
        self._heartbeat.set_ids((*self._ids, *self._replays.ids))

    def _close(self, action: Close) -> None:
        if action.undelivered:
            _log.error("results of these jobs could not be delivered in time: %s", ", ".join(action.undelivered))
        if action.running:
            _log.error("the handlers of these jobs did not end: %s", ", ".join(action.running))
            self.exit_code = 1
            self._loop.call_later(ABANDON_GRACE, self._abandon)
        self._lanes.stop()

    def _abandon(self) -> None:
        """Ends the process, which code of the user keeps the main thread from doing."""
        self._heartbeat.stop()
        logging.shutdown()
        os._exit(1)
