"""The I/O side of a worker: carries events to the desk and does what the desk says.

Everything here runs on the I/O loop, but for the methods of `Reports` and `Sink`, which handlers call from their own
threads.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from novita_worker._actions import (
    Action,
    AskConcurrency,
    Cancel,
    Close,
    Discard,
    EndTake,
    Prepare,
    SetPing,
    Start,
    Take,
    TakenJob,
)
from novita_worker._config import WorkerConfig
from novita_worker._context import JobContext
from novita_worker._delivery import Delivery, Verdict
from novita_worker._desk import Desk
from novita_worker._environment import Environment
from novita_worker._gateway import Gateway, PostFailure, Pulse, TakeReply
from novita_worker._lanes import Lanes
from novita_worker._limits import Limits
from novita_worker._memory import resident_mb
from novita_worker._outbox import Failure, Post, PostKind
from novita_worker._outcome import Outcome, Recycle, Writer
from novita_worker._publication import publish
from novita_worker._replays import Replays
from novita_worker._run import JobRun
from novita_worker._runs import Runs
from novita_worker._scale import Modifier
from novita_worker._spool import Spool
from novita_worker._stops import StopWatch
from novita_worker._throttle import Throttle

__all__ = ["Engine"]

END_TAKE_GRACE: Final = 0.2
"""How long a parked take may still bring a job after the worker decided to stop, in seconds."""

ABANDON_GRACE: Final = 1.0
"""How long the main thread gets to end by itself after a handler did not, in seconds."""

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
        gateway: Gateway,
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
            Limits(
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
        self._inbox: deque[tuple[Callable[..., list[Action]], tuple[object, ...]]] = deque()
        self._is_woken = False
        self._ids: tuple[str, ...] = ()
        self._runs = Runs(
            lanes, writer, self, worker_id=environment.worker_id, aggregate=config.return_aggregate_stream
        )
        self._streams: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._post_tasks: dict[str, asyncio.Task[None]] = {}
        self._take_task: asyncio.Task[None] | None = None
        self._has_batch_route = True
        self._alarm: asyncio.TimerHandle | None = None
        self._takes = Throttle(_log, "asking for jobs")
        self._stops: StopWatch
        self._closed: asyncio.Event
        self._loop: asyncio.AbstractEventLoop
        self._is_open = False
        self._do: dict[type[Action], Callable[[Any], None]] = {
            Take: self._take,
            EndTake: self._end_take,
            AskConcurrency: self._ask_concurrency,
            Prepare: self._prepare,
            Start: self._start,
            Cancel: self._cancel,
            Discard: self._discard,
            Post: self._post,
            SetPing: self._set_ping,
            Close: self._close,
        }
        self.exit_code = 0

    async def run(self, ready: Callable[[], None]) -> None:
        """Serves until the desk says that all is over.

        Args:
            ready: Called when the engine takes calls from other threads.
        """
        self._loop = asyncio.get_running_loop()
        self._closed = asyncio.Event()
        await self._gateway.open()
        self._heartbeat.start()
        self._stops = StopWatch(self._gateway, self._on_stops)
        self._spawn(self._stops.run())
        if self._writer.spec.describe is not None:
            self._spawn(publish(self._gateway, self._writer.spec.describe))
        await self._replays.begin(self._spawn)
        try:
            self._is_open = True
            self._read_inbox()
            ready()
            await self._closed.wait()
        finally:
            self._is_open = False
            if self._alarm is not None:
                self._alarm.cancel()
            tasks = [*self._tasks, *self._post_tasks.values(), *([self._take_task] if self._take_task else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._heartbeat.stop()
            if self._modifier is not None:
                self._modifier.stop()
            if self._spool is not None:
                await asyncio.to_thread(self._spool.close)
            await self._gateway.close()

    # Called from any thread.

    def begin(self) -> None:
        """The worker is set up; jobs may come."""
        self._tell(lambda: self._desk.begin(self._now))

    def shutdown(self) -> None:
        """End in good order."""
        self._tell(lambda: self._desk.shutdown(self._now))

    def progress(self, context: JobContext) -> None:
        """A handler has new progress."""
        self._tell(self._on_progress, context)

    def chunk(self, job_id: str, chunk: bytes) -> None:
        """A generator yielded."""
        self._tell(self._on_chunk, job_id, chunk)

    def finished(self, job_id: str, outcome: Outcome) -> None:
        """A handler ended."""
        self._tell(self._on_finished, job_id, outcome)

    def _tell(self, event: Callable[..., list[Action]], *args: object) -> None:
        self._inbox.append((event, args))
        if self._is_open and not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._read_inbox)

    # Events.

    @property
    def _now(self) -> float:
        return self._loop.time()

    def _read_inbox(self) -> None:
        self._is_woken = False
        while self._inbox:
            event, args = self._inbox.popleft()
            self._perform(event(*args))

    def _on_progress(self, context: JobContext) -> list[Action]:
        body = context.take_progress()
        return [] if body is None else self._desk.progress(context.id, body, self._now)

    def _on_chunk(self, job_id: str, chunk: bytes) -> list[Action]:
        return self._desk.chunk(job_id, chunk, self._now)

    def _on_finished(self, job_id: str, outcome: Outcome) -> list[Action]:
        run = self._runs.end(job_id)
        if self._desk.awaits(job_id):
            if run.is_stream:
                self._streams.add(job_id)
            self._delivery.keep(job_id, self._desk.chunks(job_id), outcome.body, is_stream=run.is_stream)
        actions: list[Action] = []
        if (reason := self._reason_to_end(outcome)) is not None:
            _log.info("the worker ends when its jobs are done: %s", reason)
            actions = self._desk.shutdown(self._now, patient=True)
        # Later, because the next take must not wait for a log line.
        self._loop.call_later(0, self._log_end, run, outcome, self._now)
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

    def _log_end(self, run: JobRun, outcome: Outcome, ended: float) -> None:
        job_id = run.context.id
        if outcome.error is not None:
            _log.error("job %s failed: %.500s", job_id, outcome.error)
            return
        seconds = 0.0 if run.started_at is None else ended - run.started_at
        # A line for each of a thousand jobs a second would cost more than the jobs.
        _log.log(logging.INFO if seconds >= LONG_JOB else logging.DEBUG, "job %s done in %.3f s", job_id, seconds)

    def _on_stops(self, job_ids: list[str]) -> None:
        for job_id in job_ids:
            self._spawn(self._delivery.forget(job_id))
        self._perform(self._desk.stop_ordered(job_ids, self._now))

    def _perform(self, actions: list[Action]) -> None:
        for action in actions:
            self._do[type(action)](action)
        self._stops.want(wanted=self._desk.running > 0)
        self._set_alarm()

    def _set_alarm(self) -> None:
        wake = self._desk.next_wake
        if self._alarm is not None:
            if wake is not None and self._alarm.when() == wake:
                return
            self._alarm.cancel()
            self._alarm = None
        if wake is not None:
            self._alarm = self._loop.call_at(wake, self._on_alarm)

    def _on_alarm(self) -> None:
        self._alarm = None
        # The clock may stand a hair before the time that was asked for.
        self._perform(self._desk.tick(self._now + 1e-6))

    # Actions.

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _take(self, action: Take) -> None:
        self._take_task = self._loop.create_task(self._run_take(action))

    async def _run_take(self, action: Take) -> None:
        started = self._now
        try:
            reply = await self._ask_for_jobs(action)
        except asyncio.CancelledError:
            self._perform(self._desk.take_empty(self._now, waited=self._now - started))
            return
        if isinstance(reply, PostFailure):
            self._takes.failed(reply.reason, self._now)
            self._perform(self._desk.take_failed(reply.failure, self._now))
            return
        self._takes.worked()
        for job_id, reason in reply.broken:
            self._refuse_job(job_id, reason)
        if reply.jobs or reply.broken:
            jobs = [self._limit(job) for job in reply.jobs if job.id not in self._replays]
            self._perform(self._desk.taken(jobs, self._now))
        else:
            self._perform(self._desk.take_empty(self._now, waited=self._now - started))

    async def _ask_for_jobs(self, action: Take) -> TakeReply | PostFailure:
        count = action.count if self._has_batch_route else 1
        reply = await self._gateway.take(count=count, busy=action.busy)
        if count > 1 and isinstance(reply, PostFailure) and reply.failure.status in (404, 405):
            self._has_batch_route = False
            return await self._gateway.take(count=1, busy=action.busy)
        return reply

    def _limit(self, job: TakenJob) -> TakenJob:
        limits = [limit for limit in (job.timeout, self._config.job_timeout) if limit is not None]
        return replace(job, timeout=min(limits)) if limits else job

    def _refuse_job(self, job_id: str | None, reason: str) -> None:
        _log.error("the gateway gave a job that can't run: %s", reason)
        if job_id is not None:
            body = self._writer.failed(Failure(code="INVALID_JOB", message=f"the job can't run: {reason}"))
            self._spawn(self._deliver_refusal(job_id, body))

    async def _deliver_refusal(self, job_id: str, body: bytes) -> None:
        await self._delivery.deliver(job_id, PostKind.RESULT, body, is_stream=False)

    def _end_take(self, _: EndTake) -> None:
        self._loop.call_later(END_TAKE_GRACE, self._loop.call_soon, self._hang_up)

    def _hang_up(self) -> None:
        if self._take_task is not None and not self._gateway.take_is_answered:
            self._take_task.cancel()

    def _ask_concurrency(self, action: AskConcurrency) -> None:
        if self._modifier is not None:
            self._modifier.ask(action.current)

    def _concurrency_answered(self, concurrency: int | None) -> None:
        self._tell(lambda: self._desk.concurrency_answered(concurrency, self._now))

    def _prepare(self, action: Prepare) -> None:
        self._runs.prepare(action.job)

    def _start(self, action: Start) -> None:
        time_left = None if action.deadline is None else action.deadline - self._now
        self._runs.start(action.job, time_left=time_left, alone=self._desk.concurrency == 1)

    def _cancel(self, action: Cancel) -> None:
        self._runs.cancel(action.job_id, action.reason)

    def _discard(self, action: Discard) -> None:
        self._runs.discard(action.job_id)
        _log.warning("job %s was taken but not started; its lease runs out and it is offered again", action.job_id)

    def _post(self, post: Post) -> None:
        # Not `_spawn`: its callback costs a turn of the loop, and there is one post of a job at a time.
        self._post_tasks[post.job_id] = self._loop.create_task(self._deliver(post))

    async def _deliver(self, post: Post) -> None:
        job_id = post.job_id
        run = self._runs.get(job_id)
        is_stream = job_id in self._streams or (run is not None and run.is_stream)
        body = post.body if isinstance(post.body, bytes) else self._writer.failed(post.body)
        try:
            verdict, problem = await self._delivery.deliver(job_id, post.kind, body, is_stream=is_stream)
        except Exception:  # noqa: BLE001  whatever it is, it must not strand a job
            _log.exception("the %s of job %s could not be delivered", post.kind.value, job_id)
            verdict, problem = Verdict.LOST, None
        del self._post_tasks[job_id]
        if post.kind is PostKind.CHUNK and run is not None:
            run.delivered(len(body))
        reason = problem.reason if problem is not None else ""
        match verdict:
            case Verdict.DELIVERED:
                actions = self._desk.delivered(job_id, self._now)
            case Verdict.REFUSED:
                _log.error("the gateway refused the %s of job %s: %s", post.kind.value, job_id, reason)
                message = f"the gateway refused the {post.kind.value} ({len(body):,} bytes): {reason}"
                failure = Failure(code="OUTPUT_REFUSED", message=message)
                actions = self._desk.refused(job_id, failure, self._now)
            case Verdict.LOST:
                _log.error("the %s of job %s could not be delivered: %s", post.kind.value, job_id, reason)
                actions = self._desk.lost(job_id, self._now)
        if job_id not in self._desk:
            self._streams.discard(job_id)
        self._perform(actions)

    def _set_ping(self, action: SetPing) -> None:
        self._ids = action.ids
        self._ping()

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
        """Ends the process: a handler that does not end keeps the main thread from doing it."""
        self._heartbeat.stop()
        logging.shutdown()
        os._exit(self.exit_code)

    def end(self) -> None:
        """All is done; `run` returns. Callable from any thread."""
        if self._is_open:
            self._loop.call_soon_threadsafe(self._closed.set)
