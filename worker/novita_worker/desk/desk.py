"""Slots, order and shutdown of one worker. Pure: events and the time go in, actions come out.

A slot is reserved before a take goes out, by `Intake`, and released in one place, `_release`. Every job that starts
ends in exactly one result, or in none if it was stopped.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from novita_sdk.wire.retry import Failure
from novita_worker.desk.actions import (
    Action,
    Cancel,
    CancelReason,
    Close,
    DeskLimits,
    Discard,
    EndTake,
    Prepare,
    SetPing,
    Stage,
    Start,
    TakenJob,
)
from novita_worker.desk.intake import Intake
from novita_worker.desk.job import DeskJob, Phase
from novita_worker.desk.outbox import LastPost, Place, PostKind, WorkerFault

__all__ = ["Desk"]


class Desk:
    """The state of a worker's jobs. Every public method but the properties is an event and returns what is to be done.

    Args:
        limits: What bounds the worker.
        random: Gives a number in [0, 1), for jitter.
    """

    def __init__(self, limits: DeskLimits, random: Callable[[], float]) -> None:
        self._limits = limits
        self._intake = Intake(limits, random)
        self._jobs: dict[str, DeskJob] = {}
        self._held: dict[str, DeskJob] = {}
        self._running = 0
        self._stuck = 0
        self._ended = 0
        self._stage = Stage.SERVE
        self._stage_deadline: float | None = None
        self._timers: list[tuple[float, str]] = []
        self._ids_changed = False

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def awaits(self, job_id: str) -> bool:
        """Whether the result of this job's handler will be posted."""
        return self._reporting(job_id) is not None

    def chunks(self, job_id: str) -> tuple[tuple[bytes, ...], Place]:
        """The chunks of a job that are not delivered yet, and the place of the first."""
        return self._jobs[job_id].outbox.chunks, self._jobs[job_id].outbox.place

    @property
    def stage(self) -> Stage:
        """Where in its life the worker is."""
        return self._stage

    @property
    def concurrency(self) -> int:
        """How many jobs may run now."""
        return self._intake.concurrency

    @property
    def running(self) -> int:
        """Handlers that have not returned, stopped ones included."""
        return self._running

    @property
    def in_progress(self) -> tuple[str, ...]:
        """Ids of the jobs that the gateway counts on: held, running, or not delivered yet."""
        return tuple([job_id for job_id, job in self._jobs.items() if self._counts(job)])

    @property
    def next_wake(self) -> float | None:
        """When `tick` is due, or None while only events matter."""
        times = [self._timers[0][0]] if self._timers else []
        if self._stage_deadline is not None:
            times.append(self._stage_deadline)
        if (ask_at := self._intake.due(used=self._used, undelivered=self._ended)) is not None:
            times.append(ask_at)
        return min(times) if times else None

    def begin(self, now: float) -> list[Action]:
        """The worker is ready for its first job."""
        return self._settle(now, [])

    def taken(self, jobs: Iterable[TakenJob], now: float) -> list[Action]:
        """A take brought jobs. One that is here already is not run a second time, unless nothing comes of its run."""
        count = 0
        for taken in jobs:
            if self._stage > Stage.DRAIN:
                continue
            if (job := self._jobs.get(taken.id)) is None:
                self._hold(taken)
            elif job.muted and not job.outbox.has_result:
                job.again = taken
            else:
                continue
            self._ids_changed = True
            count += 1
        self._intake.brought(count, now)
        if self._intake.is_spent:
            return self.shutdown(now, patient=True)
        return self._settle(now, [])

    def take_empty(self, now: float, *, waited: float) -> list[Action]:
        """A take brought nothing after so many seconds."""
        self._intake.was_empty(now, waited)
        return self._settle(now, [])

    def take_failed(self, failure: Failure, now: float) -> list[Action]:
        """A take went wrong."""
        self._intake.failed(now, failure)
        return self._settle(now, [])

    def concurrency_answered(self, concurrency: int | None, now: float) -> list[Action]:
        """The modifier answered; None where its answer was of no use and the last one stays."""
        self._intake.answered(concurrency)
        return self._settle(now, [])

    def progress(self, job_id: str, body: bytes, now: float) -> list[Action]:
        """A handler reported progress. After the end of its job nothing is sent."""
        job = self._reporting(job_id)
        if job is None:
            return []
        job.outbox.set_progress(body)
        actions: list[Action] = []
        self._pump(job, now, actions)
        return actions

    def chunk(self, job_id: str, body: bytes, now: float) -> list[Action]:
        """A generator yielded."""
        job = self._reporting(job_id)
        if job is None:
            return []
        job.outbox.add_chunk(body)
        actions: list[Action] = []
        self._pump(job, now, actions)
        return actions

    def finished(self, job_id: str, body: LastPost, now: float) -> list[Action]:
        """A handler returned or raised; this releases its slot."""
        job = self._jobs.get(job_id)
        if job is None or job.phase is not Phase.RUNNING:
            return []
        self._release(job)
        if not job.muted:
            job.outbox.finish(body)
        posts: list[Action] = []
        self._pump(job, now, posts)
        # The next take goes out ahead of the result, and in the same turn.
        actions: list[Action] = []
        self._fill(now, actions)
        return self._conclude(now, actions + posts)

    def delivered(self, job_id: str, now: float) -> list[Action]:
        """The gateway acknowledged the post of this job, or a progress post is not worth another try."""
        return self._answered(job_id, None, now)

    def refused(self, job_id: str, fault: WorkerFault, now: float) -> list[Action]:
        """The gateway will never accept the post; the fault takes its place, once."""
        return self._answered(job_id, fault, now)

    def lost(self, job_id: str, now: float) -> list[Action]:
        """A post could not be delivered in all its time; the job can't be helped."""
        job = self._jobs.get(job_id)
        if job is None:
            return []
        job.failed = True
        fault = WorkerFault(code="UNDELIVERABLE", message="the output could not be delivered")
        return self._answered(job_id, fault, now)

    def stop_ordered(self, job_ids: Iterable[str], now: float) -> list[Action]:
        """The gateway ordered these jobs stopped. Nothing more is posted for them."""
        actions: list[Action] = []
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            if job is None:
                continue
            job.outbox.clear()
            job.again = None
            if job.phase is Phase.HELD:
                self._forget(job)
                actions.extend([Cancel(job_id, CancelReason.STOPPED)] if job.prepared else [])
                continue
            if job.phase is Phase.RUNNING and not job.muted:
                actions.append(Cancel(job_id, CancelReason.STOPPED))
            self._mute(job)
            self._drop_if_over(job)
        return self._settle(now, actions)

    def shutdown(self, now: float, *, patient: bool = False) -> list[Action]:
        """Take nothing more and close when the jobs that are here are done.

        A patient shutdown waits for them as long as they take; otherwise each stage has its limit.
        """
        actions: list[Action] = []
        if self._stage is Stage.SERVE:
            self._stage = Stage.DRAIN
            self._intake.close()
            if self._intake.is_taking:
                actions.append(EndTake())
        if not patient and self._stage is Stage.DRAIN and self._stage_deadline is None:
            timeout = self._limits.shutdown_timeout
            self._stage_deadline = None if timeout is None else now + timeout
        return self._settle(now, actions)

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        actions: list[Action] = []
        while self._timers and self._timers[0][0] <= now:
            _, job_id = heapq.heappop(self._timers)
            if job := self._jobs.get(job_id):
                self._check_deadline(job, now, actions)
                self._pump(job, now, actions)
        return self._settle(now, actions)

    def _hold(self, taken: TakenJob) -> None:
        self._jobs[taken.id] = self._held[taken.id] = DeskJob(taken, self._limits.progress_interval)

    def _counts(self, job: DeskJob) -> bool:
        return not job.muted or not job.outbox.empty or job.again is not None

    def _reporting(self, job_id: str) -> DeskJob | None:
        """The job if its handler runs and matters."""
        job = self._jobs.get(job_id)
        return None if job is None or job.phase is not Phase.RUNNING or job.muted else job

    def _answered(self, job_id: str, fault: WorkerFault | None, now: float) -> list[Action]:
        job = self._jobs.get(job_id)
        if job is None:
            return []
        kind = job.outbox.answered()
        self._ids_changed |= job.muted
        actions: list[Action] = []
        if fault is not None and kind is not PostKind.PROGRESS and not job.muted:
            self._replace(job, fault, actions)
        self._pump(job, now, actions)
        return self._settle(now, actions)

    def _replace(self, job: DeskJob, fault: WorkerFault, actions: list[Action]) -> None:
        """Puts a fault where a result or a chunk was refused; a refused fault is the end."""
        job.outbox.clear()
        if not job.failed:
            job.failed = True
            job.outbox.finish(fault)
        if job.phase is Phase.RUNNING:
            self._mute(job)
            actions.append(Cancel(job.id, CancelReason.UNDELIVERABLE))

    def _check_deadline(self, job: DeskJob, now: float, actions: list[Action]) -> None:
        if job.phase is not Phase.RUNNING or job.deadline is None or job.deadline > now:
            return
        if job.muted:
            # Only a new process gets the slot back.
            self._give_up_on(job)
            actions.extend(self.shutdown(now, patient=True))
            return
        self._mute(job)
        seconds = job.taken.timeout or 0.0
        job.outbox.finish(WorkerFault(code="TIMEOUT", message=f"the job ran longer than its limit of {seconds:g} s"))
        job.deadline = now + self._limits.cancel_timeout
        self._set_timer(job.deadline, job)
        actions.append(Cancel(job.id, CancelReason.TIMEOUT))

    def _mute(self, job: DeskJob) -> None:
        job.muted = True
        self._ids_changed = True

    def _give_up_on(self, job: DeskJob) -> None:
        if not job.stuck:
            job.stuck = True
            self._stuck += 1

    def _settle(self, now: float, actions: list[Action]) -> list[Action]:
        """What follows from any event: free slots are filled, stages advance, the heartbeat learns the ids."""
        self._fill(now, actions)
        return self._conclude(now, actions)

    def _conclude(self, now: float, actions: list[Action]) -> list[Action]:
        if self._stage is not Stage.SERVE:
            self._advance(now, actions)
        if self._ids_changed:
            self._ids_changed = False
            # First, because a handler that holds the GIL from its start must not keep its id from the heartbeat.
            actions.insert(0, SetPing(self.in_progress))
        return actions

    def _fill(self, now: float, actions: list[Action]) -> None:
        while self._held and self._running < self.concurrency and self._stage <= Stage.DRAIN:
            job = self._held.pop(next(iter(self._held)))
            job.phase = Phase.RUNNING
            self._running += 1
            if job.taken.timeout is not None:
                job.deadline = now + job.taken.timeout
                self._set_timer(job.deadline, job)
            actions.append(Start(job.taken, job.deadline, alone=self.concurrency == 1))
        if self._held and self._limits.prepares and self.concurrency == 1:
            self._prepare(actions)
        actions.extend(self._intake.next(now, used=self._used, undelivered=self._ended))

    def _prepare(self, actions: list[Action]) -> None:
        for job in self._held.values():
            if not job.prepared:
                job.prepared = True
                actions.append(Prepare(job.taken))

    @property
    def _used(self) -> int:
        """Slots that are taken: jobs that run or are held."""
        return self._running + len(self._held)

    def _advance(self, now: float, actions: list[Action]) -> None:
        over = self._stage_deadline is not None and now >= self._stage_deadline
        if self._stage is Stage.DRAIN and over:
            self._cancel_running(actions)
            self._enter(Stage.CANCEL_RUNNING, now + self._limits.cancel_timeout)
        elif self._stage is Stage.CANCEL_RUNNING and over:
            self._fail_running(now, actions)
            self._enter(Stage.FLUSH, now + self._limits.flush_timeout)
        if self._stage < Stage.FLUSH and not self._intake.is_taking and not self._held and self._running == self._stuck:
            self._enter(Stage.FLUSH, now + self._limits.flush_timeout)
        over = self._stage_deadline is not None and now >= self._stage_deadline
        if self._stage is Stage.FLUSH and (over or not self._undelivered()):
            self._enter(Stage.CLOSE, None)
            running = tuple(job_id for job_id, job in self._jobs.items() if job.phase is Phase.RUNNING)
            actions.append(Close(running, self._undelivered()))

    def _enter(self, stage: Stage, deadline: float | None) -> None:
        self._stage = stage
        self._stage_deadline = deadline

    def _cancel_running(self, actions: list[Action]) -> None:
        for job in list(self._jobs.values()):
            if job.phase is Phase.HELD:
                self._forget(job)
                actions.append(Discard(job.id))
            elif job.phase is Phase.RUNNING and not job.muted:
                actions.append(Cancel(job.id, CancelReason.SHUTDOWN))

    def _fail_running(self, now: float, actions: list[Action]) -> None:
        for job in list(self._jobs.values()):
            if job.phase is Phase.RUNNING:
                self._give_up_on(job)
                if not job.muted:
                    self._mute(job)
                    job.outbox.finish(WorkerFault(code="WORKER_SHUTDOWN", message=CancelReason.SHUTDOWN.value))
                    self._pump(job, now, actions)

    def _undelivered(self) -> tuple[str, ...]:
        return tuple(job_id for job_id, job in self._jobs.items() if not job.outbox.empty)

    def _pump(self, job: DeskJob, now: float, actions: list[Action]) -> None:
        if self._stage is not Stage.CLOSE:  # after which nothing waits for its time
            if (post := job.outbox.next(now)) is not None:
                actions.append(post)
            elif job.outbox.due is not None:
                self._set_timer(job.outbox.due, job)
        self._drop_if_over(job)

    def _drop_if_over(self, job: DeskJob) -> None:
        if job.phase is Phase.ENDED and job.outbox.empty and job.id in self._jobs:
            self._ended -= 1
            self._forget(job)

    def _forget(self, job: DeskJob) -> None:
        self._held.pop(job.id, None)
        del self._jobs[job.id]
        self._ids_changed = True
        if job.again is not None and self._stage <= Stage.DRAIN:
            self._hold(job.again)

    def _release(self, job: DeskJob) -> None:
        job.phase = Phase.ENDED
        self._running -= 1
        self._stuck -= job.stuck
        self._ended += 1

    def _set_timer(self, time: float, job: DeskJob) -> None:
        if len(self._timers) > 64 + 4 * len(self._jobs):
            self._timers = [timer for timer in self._timers if timer[1] in self._jobs]
            heapq.heapify(self._timers)
        heapq.heappush(self._timers, (time, job.id))
